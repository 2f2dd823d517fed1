//! The control socket of a worker: made here, listened on there.
//!
//! ```text
//! <bundle>/control/socket    0700, root's; the worker has the listening end as descriptor 3, and no path to it
//! ```
//! The folder of a bundle is in no container. Who connects says in one line what is asked, and gets the answer in lines of
//! text; the shim interprets neither. What comes from a worker is as trustworthy as its guests, so lines are bounded.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            fs::{DirBuilderExt, OpenOptionsExt},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// The number of the descriptor in the worker: the first one that the OCI runtime hands on.
pub(crate) const WORKER_FD: i32 = 3;
/// Of what is asked and answered.
const VERSION: u32 = 1;
/// Bytes of one line of an answer; the worker's are shorter.
const MAX_LINE: u64 = 64 << 10;
/// For a worker to take a new limit.
const LIMIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where one container's is.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    folder: PathBuf,
}

/// What is asked.
#[derive(Serialize)]
struct Request<'a> {
    version: u32,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum What<'a> {
    Run { args: &'a [String], terminal: Option<Size> },
    Limit { class: &'a str, memory: u64 },
}

/// Of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Size {
    pub(crate) columns: u32,
    pub(crate) rows: u32,
}

/// One line of an answer.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Line {
    Out(String),
    Err(String),
    /// The last one.
    Exit(u8),
}

impl Control {
    pub(crate) fn new(bundle: &Path) -> Self {
        Self { folder: bundle.join("control") }
    }

    /// Makes the socket. What connects before the worker accepts has to wait.
    pub(crate) fn listen(&self) -> io::Result<OwnedFd> {
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let folder = self.open()?;
        let path = path(&folder);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(UnixListener::bind(path)?.into())
    }

    /// Asks for a command to be run.
    pub(crate) async fn run(&self, args: &[String], terminal: Option<Size>) -> io::Result<Session> {
        self.ask(What::Run { args, terminal }).await
    }

    /// Lets each actor of a class use so many bytes.
    pub(crate) async fn limit(&self, class: &str, memory: u64) -> io::Result<()> {
        let limit = async {
            let mut session = self.ask(What::Limit { class, memory }).await?;
            let mut said = String::new();
            loop {
                match session.next().await? {
                    Some(Line::Exit(0)) => return Ok(()),
                    Some(Line::Exit(_)) | None => return Err(io::Error::other(said)),
                    Some(Line::Out(text) | Line::Err(text)) if said.is_empty() => said = text,
                    Some(_) => {}
                }
            }
        };
        tokio::time::timeout(LIMIT_TIMEOUT, limit).await?
    }

    async fn ask(&self, what: What<'_>) -> io::Result<Session> {
        let folder = self.open()?;
        let (reader, writer) = UnixStream::connect(path(&folder)).await?.into_split();
        let mut session = Session { reader: BufReader::new(reader), writer, line: Vec::new() };
        session.say(&Request { version: VERSION, what }).await?;
        Ok(session)
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(&self.folder)
    }
}

/// A path by the opened folder, because that of a bundle is longer than a socket's may be (107 bytes).
fn path(folder: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/socket", folder.as_raw_fd()))
}

/// A question that is being answered.
pub(crate) struct Session {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    line: Vec<u8>,
}

impl Session {
    /// What comes next; `None` when the worker is gone. Cancel-safe: what was read of a line is kept.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        let room = MAX_LINE.saturating_sub(self.line.len() as u64);
        (&mut self.reader).take(room).read_until(b'\n', &mut self.line).await?;
        if !self.line.ends_with(b"\n") {
            let too_long = self.line.len() as u64 >= MAX_LINE;
            return if too_long { Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end")) } else { Ok(None) };
        }
        Ok(Some(serde_json::from_slice(&std::mem::take(&mut self.line))?))
    }

    pub(crate) async fn resize(&mut self, size: Size) -> io::Result<()> {
        self.say(&size).await
    }

    async fn say(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.writer.write_all(&line).await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, Write},
        os::unix::fs::PermissionsExt,
        thread,
    };

    use super::*;

    /// A worker that reads a line and says something.
    fn worker(listener: OwnedFd, says: &'static str) -> thread::JoinHandle<String> {
        let listener = UnixListener::from(listener);
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            std::io::BufReader::new(&stream).read_line(&mut line).unwrap();
            (&stream).write_all(says.as_bytes()).unwrap();
            line
        })
    }

    fn control(folder: &tempfile::TempDir) -> Control {
        let bundle = folder.path().join("x".repeat(120));
        fs::create_dir(&bundle).unwrap();
        Control::new(&bundle)
    }

    #[tokio::test]
    async fn a_question_is_asked_and_its_answer_read_by_lines() {
        let folder = tempfile::tempdir().unwrap();
        let control = control(&folder);
        let worker = worker(control.listen().unwrap(), "{\"out\":\"a\\n\"}\n{\"exit\":3}\n{\"ex");
        assert_eq!(fs::metadata(&control.folder).unwrap().permissions().mode() & 0o777, 0o700);
        let mut session = control.run(&["ps".to_owned()], Some(Size { columns: 80, rows: 24 })).await.unwrap();
        assert_eq!(session.next().await.unwrap(), Some(Line::Out("a\n".to_owned())));
        assert_eq!(session.next().await.unwrap(), Some(Line::Exit(3)));
        assert_eq!(session.next().await.unwrap(), None);
        let asked = worker.join().unwrap();
        assert_eq!(asked, "{\"version\":1,\"run\":{\"args\":[\"ps\"],\"terminal\":{\"columns\":80,\"rows\":24}}}\n");
    }

    #[tokio::test]
    async fn a_hostile_answer_is_an_error_and_takes_no_memory() {
        for says in ["nonsense\n", "{\"out\":1}\n", "{\"exit\":256}\n"] {
            let folder = tempfile::tempdir().unwrap();
            let control = control(&folder);
            let _worker = worker(control.listen().unwrap(), says);
            assert!(control.run(&[], None).await.unwrap().next().await.is_err(), "{says}");
        }
        let folder = tempfile::tempdir().unwrap();
        let control = control(&folder);
        let listener = UnixListener::from(control.listen().unwrap());
        let endless = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        });
        let mut session = control.run(&[], None).await.unwrap();
        assert!(session.next().await.unwrap_err().to_string().contains("without an end"));
        drop(session);
        endless.join().unwrap();
    }

    #[tokio::test]
    async fn a_limit_is_taken_or_refused_in_words() {
        for (says, refused) in [("{\"exit\":0}\n", None), ("{\"err\":\"no class\"}\n{\"exit\":1}\n", Some("no class"))] {
            let folder = tempfile::tempdir().unwrap();
            let control = control(&folder);
            let worker = worker(control.listen().unwrap(), says);
            let told = control.limit("main", 7).await;
            assert_eq!(told.err().map(|error| error.to_string()).as_deref(), refused);
            assert_eq!(worker.join().unwrap(), "{\"version\":1,\"limit\":{\"class\":\"main\",\"memory\":7}}\n");
        }
    }
}
