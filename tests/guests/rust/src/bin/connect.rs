//! `connect HOST:PORT`: opens a TCP connection and prints `ok: peer ADDRESS` or `error: TEXT`. HOST may be a name, which
//! is resolved then.

use std::net::SocketAddr;
use std::time::Duration;

use lunatic::net::TcpStream;
use lunatic::Mailbox;

const PATIENCE: Duration = Duration::from_secs(5);

#[lunatic::main]
fn main(_: Mailbox<()>) {
    let address = guests::text_arg(0, "connect HOST:PORT");
    let result = match address.parse::<SocketAddr>() {
        Ok(address) => TcpStream::connect_timeout(address, PATIENCE),
        Err(_) => TcpStream::connect_timeout(address, PATIENCE),
    };
    guests::print_result(result.and_then(|stream| stream.peer_addr()).map(|peer| format!("peer {peer}")));
}
