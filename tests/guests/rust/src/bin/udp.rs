//! `udp LOCAL [PEER]`: opens a socket and prints `ok: ADDRESS` or `error: TEXT`. Without PEER it answers one datagram, and
//! then prints what a datagram to port 9 of that sender gives, whom it may not send to. With PEER it sends `ping` there and
//! prints the answer.

use std::net::SocketAddr;

use lunatic::net::UdpSocket;
use lunatic::Mailbox;

#[link(wasm_import_module = "lunatic::message")]
extern "C" {
    fn create_data(tag: i64, capacity: u64);
    fn push_udp_socket(socket: u64) -> u64;
    fn take_udp_socket(index: u64) -> u64;
}

#[lunatic::main]
fn main(_: Mailbox<()>) {
    let local: SocketAddr = guests::text_arg(0, "udp LOCAL [PEER]").parse().expect("an address and a port");
    let socket = match UdpSocket::bind(local) {
        Ok(socket) => socket,
        Err(error) => return println!("error: {error}"),
    };
    guests::print_result(socket.local_addr());
    let mut buffer = [0; 64];
    match std::env::args().nth(2) {
        None => {
            // A clone is moved into a message and out again: the same socket under a further id.
            let clone = socket.try_clone().expect("a clone");
            let moved = unsafe {
                create_data(0, 0);
                take_udp_socket(push_udp_socket(1))
            };
            println!("moved to {moved}");
            std::mem::forget(clone);
            let (length, mut sender) = socket.recv_from(&mut buffer).expect("a datagram");
            guests::print_result(socket.send_to(&buffer[..length], sender));
            sender.set_port(9);
            guests::print_result(socket.send_to(b"unasked", sender));
        }
        Some(peer) => {
            let peer: SocketAddr = peer.parse().expect("an address and a port");
            if let Err(error) = socket.connect(peer) {
                println!("error: {error}");
            }
            match socket.send_to(b"ping", peer) {
                Err(error) => println!("error: {error}"),
                Ok(_) => {
                    let length = socket.recv(&mut buffer).expect("an answer");
                    println!("answer: {}", String::from_utf8_lossy(&buffer[..length]));
                }
            }
        }
    }
}
