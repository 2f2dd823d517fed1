//! The lines of the control socket, read and written within bounds.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// Of requests and answers. A client of another one is told so.
pub(super) const VERSION: u32 = 1;
/// Bytes of one line, in either direction: of a request, far more than any command takes.
pub(super) const MAX_LINE: usize = 64 << 10;
/// Bytes of text in one line of an answer: in JSON, each takes 6 at most.
const MAX_TEXT: usize = 8 << 10;
/// For a client to take one line.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a client begins with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) version: u32,
    #[serde(flatten)]
    pub(super) what: What,
}

/// What it asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum What {
    /// To run a command.
    Run {
        args: Vec<String>,
        /// The size of the terminal that the answer is for, if it is for one.
        terminal: Option<Size>,
    },
    /// To let each actor of a class use so many bytes of memory: the shim's, when the container's limit changes.
    Limit { class: String, memory: u64 },
}

/// Of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Size {
    pub(super) columns: u16,
    pub(super) rows: u16,
}

/// One line of an answer.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Line {
    Out(String),
    Err(String),
    /// The last one.
    Exit(u8),
}

/// What comes from the other side, by lines.
pub(super) struct Lines {
    reader: BufReader<OwnedReadHalf>,
    line: Vec<u8>,
}

impl Lines {
    pub(super) fn new(reader: OwnedReadHalf) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new() }
    }

    /// `None`: the other side is gone. Cancel-safe: what was read of a line is kept.
    pub(super) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let room = MAX_LINE.saturating_sub(self.line.len()) as u64;
        (&mut self.reader).take(room).read_until(b'\n', &mut self.line).await?;
        if self.line.ends_with(b"\n") {
            return Ok(Some(std::mem::take(&mut self.line)));
        }
        if self.line.len() >= MAX_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a line of more than {MAX_LINE} bytes")));
        }
        Ok(None)
    }
}

/// The answer to one request.
pub(super) struct Reply {
    writer: OwnedWriteHalf,
    /// Of a terminal that is somewhere else nobody translates the ends of lines.
    returns: bool,
    /// Characters at which lines are cut.
    columns: Option<usize>,
}

impl Reply {
    pub(super) fn new(writer: OwnedWriteHalf) -> Self {
        Self { writer, returns: false, columns: None }
    }

    pub(super) fn for_terminal(&mut self, terminal: bool) {
        self.returns = terminal;
    }

    /// From now on lines are no longer than that.
    pub(super) fn narrow(&mut self, columns: Option<usize>) {
        self.columns = columns;
    }

    pub(super) async fn out(&mut self, text: &str) -> io::Result<()> {
        self.text(text, Line::Out).await
    }

    pub(super) async fn err(&mut self, text: &str) -> io::Result<()> {
        self.text(text, Line::Err).await
    }

    pub(super) async fn exit(&mut self, code: u8) -> io::Result<()> {
        self.line(&Line::Exit(code)).await
    }

    async fn text(&mut self, text: &str, line: fn(String) -> Line) -> io::Result<()> {
        let cut = self.columns.map(|columns| cut(text, columns));
        let mut rest = cut.as_deref().unwrap_or(text);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(MAX_TEXT));
            rest = after;
            let piece = if self.returns { piece.replace('\n', "\r\n") } else { piece.to_owned() };
            self.line(&line(piece)).await?;
        }
        Ok(())
    }

    async fn line(&mut self, line: &Line) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        timeout(WRITE_TIMEOUT, self.writer.write_all(&bytes)).await?
    }
}

fn cut(text: &str, columns: usize) -> String {
    text.split_inclusive('\n')
        .flat_map(|line| {
            let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
            line.chars().take(columns).chain(end.chars())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn a_long_text_comes_whole_in_lines_within_bounds() {
        let (server, client) = UnixStream::pair().unwrap();
        let text = "\u{1}ä€\n".repeat(4_000);
        let sent = text.clone();
        let sending = tokio::spawn(async move {
            let mut reply = Reply::new(server.into_split().1);
            reply.out(&sent).await.unwrap();
            reply.exit(3).await.unwrap();
        });
        let (mut lines, mut came) = (Lines::new(client.into_split().0), String::new());
        loop {
            match serde_json::from_slice(&lines.next().await.unwrap().unwrap()).unwrap() {
                Line::Out(piece) => came += &piece,
                other => {
                    assert_eq!(other, Line::Exit(3));
                    break;
                }
            }
        }
        sending.await.unwrap();
        assert_eq!(came, text);
        assert!(lines.next().await.unwrap().is_none());
    }

    #[test]
    fn lines_are_cut_where_the_terminal_ends() {
        assert_eq!(cut("äbcd\n\nab\nabcde", 3), "äbc\n\nab\nabc");
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_refused_at_its_bound() {
        let (server, client) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(server.into_split().0);
        let sending = tokio::spawn(async move {
            let mut client = client;
            client.write_all(&vec![b'x'; MAX_LINE]).await.unwrap();
            client
        });
        assert_eq!(lines.next().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(sending.await.unwrap());
    }

    #[tokio::test]
    async fn a_line_that_was_awaited_in_vain_is_read_whole_later() {
        let (server, mut client) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(server.into_split().0);
        client.write_all(b"{\"columns\":8").await.unwrap();
        assert!(timeout(Duration::from_millis(20), lines.next()).await.is_err());
        client.write_all(b"0,\"rows\":24}\n").await.unwrap();
        let size: Size = serde_json::from_slice(&lines.next().await.unwrap().unwrap()).unwrap();
        assert_eq!(size, Size { columns: 80, rows: 24 });
    }
}
