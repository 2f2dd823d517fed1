//! The network gate, on loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::harness::{guests, perigee, run, run_app, run_with, wait, write_app};

fn connect(rule: &str, address: &str) -> crate::harness::Ran {
    run_app(&format!(
        "{{name: a, module: connect.wasm, args: ['{address}'], restart: {{policy: Temporary}}, permissions: {{network: {{connect: [{rule}]}}}}}}"
    ))
}

#[test]
fn a_connection_needs_its_rule() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    connect(&format!("'{address}'"), &address).code(0).prints(&format!("ok: peer {address}"));
    connect("'127.0.0.0/8:*'", &address).prints("ok: peer");
    connect("'127.0.0.1:1'", &address).prints("error: ").prints("denied").prints("permissions.network.connect");
    connect("", &address).prints("error: ").prints("denied");
    run("connect", &[&address]).prints("denied");
    run_with(&["--net"], "connect", &[&address]).prints("ok: peer");
}

#[test]
fn a_rule_by_name_covers_what_the_name_resolves_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    connect(&format!("'localhost:{port}'"), &format!("localhost:{port}")).prints(&format!("ok: peer 127.0.0.1:{port}"));
    connect("'localhost:1'", &format!("localhost:{port}")).prints("denied");
    connect("'127.0.0.1:*'", &format!("localhost:{port}")).prints("denied").prints("may not resolve");
}

#[test]
fn listening_needs_its_rule_and_a_blocking_echo_works() {
    run("listen", &["127.0.0.1:0"]).prints("error: ").prints("denied").prints("permissions.network.listen");

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let actor = format!(
        "{{name: echo, module: listen.wasm, args: ['127.0.0.1:{port}'], restart: {{policy: Temporary}}, permissions: {{network: {{listen: ['127.0.0.1:{port}']}}}}}}"
    );
    let manifest = write_app(folder.path(), &actor);
    let mut child = perigee(&["run", "--modules"]).arg(guests()).arg(manifest).spawn().unwrap();
    let mut first = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"ok:", "it says when it listens");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"hello, echo").unwrap();
    let mut answer = [0; 11];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello, echo");
    drop(stream);
    wait(child).code(0);
}
