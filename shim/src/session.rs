//! An exec in a Wasm container: no process, but a conversation with the worker, which answers in text.
//!
//! To whoever asked it looks like a process: it has streams, is resized and killed, and ends with a code.

use std::io;

use containerd_shim::asynchronous::io::Stdio;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::unix::pipe,
    sync::watch,
};

use crate::{
    control::{Control, Line, Session, Size},
    exit::KILLED,
};

/// Status where the worker cannot be asked: that of a shell for what cannot be executed.
const CANNOT_ASK: u32 = 126;
/// Status after Ctrl-C: 128 + SIGINT.
const INTERRUPTED: u32 = 130;
/// Until the terminal's size is told, which is right after the start.
const FIRST_SIZE: Size = Size { columns: 80, rows: 24 };
/// Signals that no process ends by, unless it asks to: SIGCHLD, SIGCONT, the stops, SIGURG, SIGWINCH.
const HARMLESS: [u32; 7] = [17, 18, 19, 20, 21, 22, 23];
const WINDOW_CHANGE: u32 = 28;

/// What is wanted of a session from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Of its terminal.
    pub(crate) size: Option<Size>,
    /// Which has ended it.
    pub(crate) signal: Option<u32>,
}

impl Wishes {
    /// What a signal does. The first one that ends it counts.
    pub(crate) fn signal(&mut self, number: u32) {
        let ends = number != 0 && number != WINDOW_CHANGE && !HARMLESS.contains(&number);
        self.signal = self.signal.or(ends.then_some(number));
    }
}

/// Asks, and passes on what is said. The exit status.
pub(crate) async fn relay(control: &Control, args: &[String], stdio: &Stdio, wishes: watch::Receiver<Wishes>) -> u32 {
    let mut ended = wishes.clone();
    let signal = async {
        let told = ended.wait_for(|wishes| wishes.signal.is_some()).await;
        match told.ok().and_then(|wishes| wishes.signal) {
            Some(signal) => 128 + signal,
            // Nobody is left who could.
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        status = signal => status,
        status = typed(stdio) => status,
        status = converse(control, args, stdio, wishes) => status,
    }
}

async fn converse(control: &Control, args: &[String], stdio: &Stdio, wishes: watch::Receiver<Wishes>) -> u32 {
    let mut streams = match Streams::open(stdio) {
        Ok(streams) => streams,
        Err(error) => {
            log::warn!("the streams of an exec: {error}");
            return CANNOT_ASK;
        }
    };
    let terminal = stdio.terminal.then(|| wishes.borrow().size.unwrap_or(FIRST_SIZE));
    let told = match control.run(args, terminal).await {
        Ok(session) => pass_on(session, &mut streams, wishes).await,
        Err(error) => Err(error),
    };
    match told {
        Ok(status) => status,
        Err(error) if has_gone(&error) => KILLED,
        Err(error) => {
            let end = if stdio.terminal { "\r\n" } else { "\n" };
            let text = format!("perigee: the container's actors cannot be asked: {error}{end}");
            // Whoever asked may be gone.
            streams.write(Stream::Err, &text).await.unwrap_or_default();
            CANNOT_ASK
        }
    }
}

/// Whether the worker has ended before it read what it was asked, or all of it. It listens as long as it lives.
fn has_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionRefused | ConnectionReset)
}

async fn pass_on(mut session: Session, streams: &mut Streams, mut wishes: watch::Receiver<Wishes>) -> io::Result<u32> {
    let mut resizable = true;
    loop {
        let line = tokio::select! {
            line = session.next() => line?,
            changed = wishes.changed(), if resizable => {
                resizable = changed.is_ok();
                let size = wishes.borrow_and_update().size;
                if let Some(size) = size {
                    session.resize(size).await?;
                }
                continue;
            }
        };
        match line {
            Some(Line::Out(text)) => streams.write(Stream::Out, &text).await?,
            Some(Line::Err(text)) => streams.write(Stream::Err, &text).await?,
            Some(Line::Exit(code)) => return Ok(code.into()),
            // The container has ended, and all in it.
            None => return Ok(KILLED),
        }
    }
}

/// Ends when a key of the terminal says so: the worker gets none of what is typed.
async fn typed(stdio: &Stdio) -> u32 {
    if !stdio.terminal || stdio.stdin.is_empty() {
        return std::future::pending().await;
    }
    // For writing too: so the end of one writer is not taken for the end of the input.
    let Ok(mut input) = pipe::OpenOptions::new().read_write(true).open_receiver(&stdio.stdin) else {
        return std::future::pending().await;
    };
    let mut keys = [0; 64];
    while let Ok(count) = input.read(&mut keys).await {
        for key in keys.iter().take(count) {
            match key {
                b'q' | b'Q' | 4 => return 0,
                3 => return INTERRUPTED,
                _ => {}
            }
        }
    }
    std::future::pending().await
}

#[derive(Clone, Copy)]
enum Stream {
    Out,
    Err,
}

/// The FIFOs of the output; absent where nobody wants it.
struct Streams {
    out: Option<pipe::Sender>,
    err: Option<pipe::Sender>,
    /// It has one stream for both.
    terminal: bool,
}

impl Streams {
    fn open(stdio: &Stdio) -> io::Result<Self> {
        let open = |path: &str| {
            // For reading too, as `stdio.rs` says of all outputs.
            let open = || pipe::OpenOptions::new().read_write(true).open_sender(path);
            (!path.is_empty()).then(open).transpose()
        };
        Ok(Self { out: open(&stdio.stdout)?, err: open(&stdio.stderr)?, terminal: stdio.terminal })
    }

    async fn write(&mut self, stream: Stream, text: &str) -> io::Result<()> {
        let sender = match stream {
            Stream::Err if !self.terminal => self.err.as_mut(),
            Stream::Out | Stream::Err => self.out.as_mut(),
        };
        match sender {
            Some(sender) => sender.write_all(text.as_bytes()).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_ends_before_it_answers_ends_the_exec_however_much_it_read() {
        for reads in [0, 1] {
            let bundle = tempfile::tempdir().unwrap();
            let control = Control::new(bundle.path());
            let listener = std::os::unix::net::UnixListener::from(control.listen().unwrap());
            let worker = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                std::io::Read::read_exact(&mut stream, &mut vec![0; reads]).unwrap();
            });
            let (_wish, wishes) = watch::channel(Wishes::default());
            let stdio = Stdio::new("", "", "", false);
            assert_eq!(relay(&control, &["ps".to_owned()], &stdio, wishes.clone()).await, KILLED, "{reads} bytes were read");
            worker.join().unwrap();
            assert_eq!(relay(&control, &["ps".to_owned()], &stdio, wishes).await, KILLED, "nobody listens any more");
        }
    }

    #[test]
    fn the_first_signal_that_would_end_a_process_counts() {
        let mut wishes = Wishes::default();
        for harmless in [0, 17, 18, 19, 20, 23, 28] {
            wishes.signal(harmless);
        }
        assert_eq!(wishes.signal, None);
        wishes.signal(15);
        wishes.signal(9);
        assert_eq!(wishes.signal, Some(15));
    }
}
