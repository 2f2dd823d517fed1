//! Who was granted nothing reaches nothing, whichever function it tries.

use std::net::{TcpListener, UdpSocket};

use crate::harness::run_app;

#[test]
fn w03_network_gate_lets_nothing_through_without_a_rule() {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (tcp, udp) = (peer.local_addr().unwrap(), datagrams.local_addr().unwrap());
    peer.set_nonblocking(true).unwrap();
    datagrams.set_nonblocking(true).unwrap();
    for (module, args) in [
        ("listen", "'127.0.0.1:0'".to_owned()),
        ("connect", format!("'{tcp}'")),
        ("connect", format!("'localhost:{}'", tcp.port())),
        ("udp", format!("'127.0.0.1:0', '{udp}'")),
        ("tls", format!("connect, '127.0.0.1', '{}'", tcp.port())),
        ("tls", format!("connect, localhost, '{}'", tcp.port())),
    ] {
        run_app(&format!("{{name: n, module: {module}.wasm, args: [{args}], restart: {{policy: Temporary}}}}"))
            .prints("error: ")
            .prints("denied: the class \"n\" may not")
            .prints_not("ok");
    }
    assert!(peer.accept().is_err() && datagrams.recv(&mut [0; 8]).is_err(), "nobody came");
}
