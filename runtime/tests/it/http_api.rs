//! A program in a framework that was written for Lunatic (`examples/http-api`, submillisecond) serves requests unmodified.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{guests, kill, perigee, wait, write_app};

/// The status line and the body of an answer; `None`: the connection ended without one.
fn ask(port: u16, request: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = BufReader::new(stream);
    let status = line(&mut answer)?;
    let mut length = 0;
    loop {
        let header = line(&mut answer)?.to_ascii_lowercase();
        match header.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    // The framework keeps connections open.
    let mut body = vec![0; length];
    answer.read_exact(&mut body).ok()?;
    Some((status, String::from_utf8(body).unwrap()))
}

fn line(answer: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    answer.read_line(&mut line).ok().filter(|read| *read > 0)?;
    Some(line.trim_end().to_owned())
}

fn get(port: u16, path: &str) -> Option<(String, String)> {
    ask(port, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
}

fn post(port: u16, path: &str, body: &str) -> Option<(String, String)> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
    ask(port, &format!("{head}\r\n\r\n{body}"))
}

fn start() -> (u16, Child, tempfile::TempDir) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let class = format!(
        "{{name: api, module: http-api.wasm, args: ['127.0.0.1:{port}'], limits: {{memory: 4Mi, mailbox: 64Ki, actors: 100}}, \
         permissions: {{spawn: [api], network: {{listen: ['127.0.0.1:{port}']}}}}}}"
    );
    let manifest = write_app(folder.path(), &class);
    let child = perigee(&["run", "--modules"]).arg(guests()).arg(manifest).spawn().unwrap();
    let since = Instant::now();
    while get(port, "/").is_none() {
        assert!(since.elapsed() < Duration::from_secs(60), "it does not answer");
        thread::sleep(Duration::from_millis(50));
    }
    (port, child, folder)
}

#[test]
fn each_request_is_an_actor_of_its_own() {
    let (port, child, _folder) = start();
    let ok = |body: &str| Some(("HTTP/1.1 200 OK".to_owned(), body.to_owned()));
    assert_eq!(get(port, "/"), ok("hello\n"));
    assert_eq!(get(port, "/hello/you"), ok("hello, you\n"));
    assert_eq!(post(port, "/sum", r#"{"numbers": [1, 2, 3]}"#), ok(r#"{"sum":6,"count":3}"#));
    assert!(get(port, "/nowhere").unwrap().0.contains("404"));
    // One request that fails costs no other.
    let too_large = format!(r#"{{"numbers": [{}, 1]}}"#, i64::MAX);
    assert!(post(port, "/sum", &too_large).is_none_or(|(status, _)| status.contains("500")));
    let askers: Vec<_> = (0..8)
        .map(|asker| {
            thread::spawn(move || {
                for number in 0..20 {
                    let (_, body) = get(port, &format!("/hello/{asker}-{number}")).unwrap();
                    assert_eq!(body, format!("hello, {asker}-{number}\n"));
                }
            })
        })
        .collect();
    for asker in askers {
        asker.join().unwrap();
    }
    kill(child.id(), "TERM");
    // Its listener closes, so it is done.
    wait(child).code(0).says(&["a sum of 64 bits"]);
}
