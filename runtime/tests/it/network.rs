//! The network gate, on loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

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

fn udp(network: &str, args: &str) -> String {
    format!(
        "{{name: u, module: udp.wasm, args: [{args}], restart: {{policy: Temporary}}, permissions: {{network: {{{network}}}}}}}"
    )
}

#[test]
fn a_udp_socket_needs_a_rule_to_listen_and_one_to_send() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = peer.local_addr().unwrap();
    let args = format!("'127.0.0.1:0', '{address}'");
    run_app(&udp("", &args)).prints("error: ").prints("may not listen on 127.0.0.1:0");
    run_app(&udp("listen: ['127.0.0.1:0']", &args))
        .code(0)
        .prints("ok: 127.0.0.1:")
        .prints(&format!("may not connect to {address}"))
        .prints("permissions.network.connect");
    let answer = std::thread::spawn(move || {
        let (length, sender) = peer.recv_from(&mut [0; 64]).unwrap();
        assert_eq!(length, 4);
        peer.send_to(b"pong", sender).unwrap();
    });
    run_app(&udp(&format!("listen: ['127.0.0.1:0'], connect: ['{address}']"), &args)).code(0).prints("answer: pong");
    answer.join().unwrap();
}

#[test]
fn a_udp_server_answers_who_sent_to_it_and_nobody_else() {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let manifest = write_app(folder.path(), &udp(&format!("listen: ['127.0.0.1:{port}']"), &format!("'127.0.0.1:{port}'")));
    let mut child = perigee(&["run", "--modules"]).arg(guests()).arg(manifest).spawn().unwrap();
    let mut first = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"ok:", "it says when it listens");
    client.send_to(b"hello", ("127.0.0.1", port)).unwrap();
    let mut answer = [0; 16];
    assert_eq!(client.recv(&mut answer).unwrap(), 5);
    wait(child).code(0).prints("moved to 2").prints("ok: 5").prints("may not connect to 127.0.0.1:9");
}
