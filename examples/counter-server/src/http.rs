//! As much of HTTP/1.1 as this server needs: one request per connection, sizes bounded before anything is kept.

use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read, Take, Write};

use BadRequest::Refused;

/// Bytes of the request line and headers together.
const MAX_HEAD: u64 = 8 << 10;
/// Bytes of a body.
pub const MAX_BODY: usize = 64 << 10;

/// A request that was read whole.
pub struct Request {
    pub method: String,
    /// Path and query as they were sent, such as `/work?n=3`.
    pub target: String,
    pub body: Vec<u8>,
}

/// Why a request gets no answer from the application.
pub enum BadRequest {
    /// Answered with this status and text.
    Refused(Status, &'static str),
    /// The peer closed the connection without a request.
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Ok = 200,
    BadRequest = 400,
    NotFound = 404,
    MethodNotAllowed = 405,
    Timeout = 408,
    TooLarge = 413,
    HeadersTooLarge = 431,
    NotImplemented = 501,
    Unavailable = 503,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self {
            Self::Ok => "OK",
            Self::BadRequest => "Bad Request",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::Timeout => "Request Timeout",
            Self::TooLarge => "Content Too Large",
            Self::HeadersTooLarge => "Request Header Fields Too Large",
            Self::NotImplemented => "Not Implemented",
            Self::Unavailable => "Service Unavailable",
        };
        write!(f, "{} {reason}", *self as u16)
    }
}

/// Reads one request.
///
/// # Errors
/// What to answer instead, when it is no request or too large, or comes too slowly.
pub fn read_request(stream: &mut impl BufRead) -> Result<Request, BadRequest> {
    let mut head = Read::take(&mut *stream, MAX_HEAD);
    let line = read_line(&mut head)?;
    if line.is_empty() {
        return Err(Refused(Status::BadRequest, "the request line is empty"));
    }
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some("HTTP/1.0" | "HTTP/1.1"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refused(Status::BadRequest, "the request line is not METHOD TARGET HTTP/1.1"));
    };
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) || !target.starts_with('/') {
        return Err(Refused(Status::BadRequest, "the request line is not METHOD /TARGET HTTP/1.1"));
    }
    let length = read_headers(&mut head)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).map_err(refuse)?;
    Ok(Request { method: method.to_owned(), target: target.to_owned(), body })
}

/// Reads headers up to the empty line; returns the body's length.
fn read_headers(head: &mut Take<impl BufRead>) -> Result<usize, BadRequest> {
    let mut length = None;
    loop {
        let line = read_line(head)?;
        if line.is_empty() {
            return Ok(length.unwrap_or(0));
        }
        let Some((name, value)) = line.split_once(':') else {
            return Err(Refused(Status::BadRequest, "a header has no colon"));
        };
        if name.is_empty() || name.contains([' ', '\t']) {
            return Err(Refused(Status::BadRequest, "a header's name is empty or has a space"));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Refused(Status::NotImplemented, "send Content-Length instead of Transfer-Encoding"));
        }
        if name.eq_ignore_ascii_case("content-length") {
            let bytes = parse_length(value.trim())?;
            if length.is_some_and(|other| other != bytes) {
                return Err(Refused(Status::BadRequest, "Content-Length is given twice"));
            }
            length = Some(bytes);
        }
    }
}

fn parse_length(text: &str) -> Result<usize, BadRequest> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refused(Status::BadRequest, "Content-Length is no number"));
    }
    // A number too large to parse is too large all the more.
    match text.parse() {
        Ok(bytes) if bytes <= MAX_BODY => Ok(bytes),
        _ => Err(Refused(Status::TooLarge, "the body is larger than 64 KiB")),
    }
}

/// One line of the head, without its end.
fn read_line(head: &mut Take<impl BufRead>) -> Result<String, BadRequest> {
    let mut line = Vec::new();
    head.read_until(b'\n', &mut line).map_err(refuse)?;
    if line.pop() != Some(b'\n') {
        return Err(match head.limit() {
            0 => Refused(Status::HeadersTooLarge, "the request line and headers are larger than 8 KiB"),
            MAX_HEAD => BadRequest::Closed,
            _ => Refused(Status::BadRequest, "the request ends within its head"),
        });
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| Refused(Status::BadRequest, "the head is not UTF-8"))
}

fn refuse(error: io::Error) -> BadRequest {
    match error.kind() {
        ErrorKind::TimedOut => Refused(Status::Timeout, "the request came too slowly"),
        ErrorKind::UnexpectedEof => Refused(Status::BadRequest, "the body is shorter than Content-Length"),
        _ => BadRequest::Closed,
    }
}

/// Writes a whole response of plain text, after which the connection is closed.
pub fn write_response(stream: &mut impl Write, status: Status, body: &str) -> io::Result<()> {
    let allow = if status == Status::MethodNotAllowed { "Allow: GET, POST\r\n" } else { "" };
    let length = body.len();
    let fields = format!("Content-Type: text/plain\r\nContent-Length: {length}\r\n{allow}Connection: close\r\n");
    stream.write_all(format!("HTTP/1.1 {status}\r\n{fields}\r\n{body}").as_bytes())?;
    stream.flush()
}
