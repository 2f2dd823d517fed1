//! The end of what one actor wrote to standard error, for the message that says why it ended.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::stdio::Output;

/// Bytes that are kept: the line of a panic, its message, and the note that Rust's library puts behind them.
const KEPT_BYTES: usize = 1_024;
/// How a panic of Rust begins, behind the name of its thread.
const PANIC: &str = " panicked at ";

/// What one actor wrote last. It takes no memory until something is written.
#[derive(Clone, Default)]
pub(crate) struct LastWords(Arc<Mutex<Vec<u8>>>);

impl LastWords {
    /// An output that also is remembered here.
    pub(super) fn heard_by(&self, output: &Output) -> Heard {
        Heard { output: output.clone(), words: self.clone() }
    }

    /// The line of the last panic with its message, else the last line.
    pub(crate) fn line(&self) -> Option<Arc<str>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        telling_line(&String::from_utf8_lossy(&kept)).map(Arc::from)
    }

    fn hear(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = bytes.get(bytes.len().saturating_sub(KEPT_BYTES)..).unwrap_or_default();
        let excess = (kept.len() + bytes.len()).saturating_sub(KEPT_BYTES);
        kept.drain(..excess);
        kept.extend_from_slice(bytes);
    }
}

fn telling_line(text: &str) -> Option<String> {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let Some(panic) = lines.iter().rposition(|line| line.contains(PANIC)) else {
        return lines.last().map(ToString::to_string);
    };
    // Since Rust 1.73 the message is on the line behind the place.
    let place = lines.get(panic)?;
    let message = lines.get(panic + 1).filter(|_| place.ends_with(':'));
    Some(message.map_or_else(|| place.to_string(), |message| format!("{place} {message}")))
}

/// An actor's standard error.
#[derive(Clone)]
pub(super) struct Heard {
    output: Output,
    words: LastWords,
}

impl IsTerminal for Heard {
    fn is_terminal(&self) -> bool {
        self.output.is_terminal()
    }
}

impl StdoutStream for Heard {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        self.output.async_stream()
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Heard {
    async fn ready(&mut self) {
        self.output.ready().await;
    }
}

#[async_trait]
impl OutputStream for Heard {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.words.hear(&bytes);
        OutputStream::write(&mut self.output, bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        OutputStream::flush(&mut self.output)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.output.check_write()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_tells_more_than_what_comes_after_it() {
        for (text, line) in [
            ("", None),
            ("hello\n", Some("hello")),
            ("one\ntwo", Some("two")),
            (
                "thread 'main' (1) panicked at src/main.rs:3:5:\nno cart\nnote: run with `RUST_BACKTRACE=1` …\n",
                Some("thread 'main' (1) panicked at src/main.rs:3:5: no cart"),
            ),
            (
                "thread 'main' panicked at 'no cart', src/main.rs:3:5\nnote: …\n",
                Some("thread 'main' panicked at 'no cart', src/main.rs:3:5"),
            ),
            ("thread 'main' panicked at src/main.rs:3:5:\n", Some("thread 'main' panicked at src/main.rs:3:5:")),
        ] {
            assert_eq!(telling_line(text).as_deref(), line, "{text:?}");
        }
    }

    #[test]
    fn one_byte_more_than_is_kept_drops_the_first() {
        let words = LastWords::default();
        words.hear(b"a");
        words.hear(&[b'b'; KEPT_BYTES - 1]);
        assert!(words.line().unwrap().starts_with('a'));
        words.hear(b"c");
        assert_eq!(words.line().unwrap().len(), KEPT_BYTES);
        assert!(words.line().unwrap().starts_with('b'));
        words.hear(&[b'd'; KEPT_BYTES + 1]);
        assert_eq!(*words.line().unwrap(), "d".repeat(KEPT_BYTES));
    }
}
