//! TLS of guests, on loopback: against each other, against clients that are none, and under the network gate.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;

use crate::harness::{Ran, finish, guest, perigee, run_app, wait};

/// A folder with a certificate for localhost, `certificate.pem`, its key, `key.pem`, and a stranger's certificate.
fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("certificate.pem"), own.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), own.signing_key.serialize_pem()).unwrap();
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("stranger.pem"), stranger.cert.pem()).unwrap();
    folder
}

fn tls(folder: &Path, net: &str, args: &[&str]) -> std::process::Command {
    let mut command = perigee(&["run"]);
    command.arg(net).arg("--dir").arg(format!("{}:/tls", folder.display())).arg(guest("tls")).args(args);
    command
}

/// A guest that echoes that many connections, once it listens, and its port.
fn server(folder: &Path, count: &str) -> (Child, String) {
    let args = ["listen", "127.0.0.1:0", "/tls/certificate.pem", "/tls/key.pem", count];
    let mut child = tls(folder, "--net", &args).spawn().unwrap();
    let mut output = BufReader::with_capacity(1, child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    child.stdout = Some(output.into_inner());
    let port = line.trim().rsplit_once(':').unwrap_or_else(|| panic!("no address: {line:?}")).1.to_owned();
    (child, port)
}

fn client(folder: &Path, net: &str, port: &str, authority: &[&str]) -> Ran {
    finish(tls(folder, net, &["connect", "localhost", port]).args(authority))
}

#[test]
fn guests_speak_tls_with_each_other_and_a_client_that_fails_is_nobody_elses_matter() {
    let folder = certificates();
    let (server, port) = server(folder.path(), "4");
    // It says nothing as long as the others are served.
    let silent = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let mut other = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    other.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    client(folder.path(), "--net", &port, &["/tls/stranger.pem"]).code(0).prints("error: ").prints("invalid peer certificate");
    client(folder.path(), "--net", &port, &["/tls/certificate.pem"]).code(0).prints("ok: echoed");
    drop(silent);
    wait(server).code(0).prints("echoed 100000").prints("failed: ").prints("closed the connection during the handshake");
}

#[test]
fn tls_needs_the_rules_that_tcp_does() {
    let folder = certificates();
    let listen = ["listen", "127.0.0.1:0", "/tls/certificate.pem", "/tls/key.pem"];
    finish(&mut tls(folder.path(), "--net=127.0.0.1:1", &listen)).prints("error: denied").prints("permissions.network.listen");
    client(folder.path(), "--net=127.0.0.1:1", "1", &[]).prints("error: ").prints("may not resolve \"localhost\"");
    client(folder.path(), "--net=localhost:2", "1", &[])
        .prints("error: ")
        .prints("denied: the class \"main\" may not connect to ");
    run_app("{name: a, module: tls.wasm, args: [connect, '127.0.0.1', '1'], restart: {policy: Temporary}}")
        .prints("error: ")
        .prints("denied: the class \"a\" may not connect to ");
}

#[test]
fn files_that_are_no_certificate_or_key_are_an_error() {
    let folder = certificates();
    let listen = |certificate, key| finish(&mut tls(folder.path(), "--net", &["listen", "127.0.0.1:0", certificate, key]));
    listen("/tls/key.pem", "/tls/key.pem").code(0).prints("error: there is no certificate");
    listen("/tls/certificate.pem", "/tls/certificate.pem").code(0).prints("error: the key cannot be read");
    listen("/tls/stranger.pem", "/tls/key.pem").code(0).prints("error: ").prints("cannot be used");
    client(folder.path(), "--net", "1", &["/tls/key.pem"]).code(0).prints("error: authority 0 is no certificate");
}
