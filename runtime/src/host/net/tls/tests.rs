#![expect(clippy::indexing_slicing, clippy::as_conversions, reason = "what is out of range fails the test")]

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::host::net::{client_config, roots, server_config};

/// A certificate for `localhost` that is its own authority, and its key.
fn identity() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// A listener, its address, and what its clients trust.
async fn listener() -> (TlsListener, SocketAddr, Arc<ClientConfig>) {
    let (certificate, key) = identity();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Default::default()).await.unwrap();
    let listener = TlsListener::new(listener, server_config(certificate.as_bytes(), key.as_bytes()).unwrap());
    let address = listener.local_address().unwrap();
    (listener, address, client_config(roots(certificate.as_bytes())).unwrap())
}

async fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<TlsStream> {
    let tcp = Stream::connect(address, &OpenStreams::default()).await?;
    TlsStream::connect(tcp, config, ServerName::try_from("localhost").unwrap()).await
}

async fn accept(listener: &TlsListener) -> TlsStream {
    listener.accept(&OpenStreams::default()).await.unwrap().0
}

/// Two ends of a connection. The server's handshake is carried out by its first read.
async fn pair() -> (TlsStream, TlsStream) {
    let (listener, address, config) = listener().await;
    let client = tokio::spawn(connect(address, config));
    let server = accept(&listener).await;
    let handshake = server.handshake();
    handshake.await.unwrap();
    (client.await.unwrap().unwrap(), server)
}

async fn write_all(stream: &TlsStream, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        let half = bytes.len().midpoint(written);
        let pieces = [IoSlice::new(&bytes[written..half]), IoSlice::new(&bytes[half..])];
        written += stream.write(&pieces).await?;
        stream.flush().await?;
    }
    Ok(())
}

async fn read_to_end(stream: &TlsStream) -> io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), [0; 5_000]);
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

#[tokio::test]
async fn both_ends_send_more_than_all_buffers_hold_at_once() {
    let (client, server) = pair().await;
    let (client, server) = (Arc::new(client), Arc::new(server));
    let bytes: Arc<Vec<u8>> = Arc::new((0..4_000_000u32).map(|i| (i % 251) as u8).collect());
    let mut writers = Vec::new();
    for end in [&client, &server] {
        let (end, bytes) = (Arc::clone(end), Arc::clone(&bytes));
        writers.push(tokio::spawn(async move { write_all(&end, &bytes).await }));
    }
    for end in [&client, &server] {
        let mut got = Vec::new();
        let mut buffer = vec![0; 30_000];
        while got.len() < bytes.len() {
            let count = end.read(&mut buffer).await.unwrap();
            got.extend_from_slice(&buffer[..count]);
        }
        assert!(got == *bytes, "what comes out is what went in");
    }
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_is_dropped_ends_and_one_that_is_cut_off_fails() {
    let (client, server) = pair().await;
    write_all(&client, b"bye").await.unwrap();
    drop(client);
    assert_eq!(read_to_end(&server).await.unwrap(), b"bye");

    let (client, server) = pair().await;
    client.tcp.tcp().set_zero_linger().unwrap();
    nix::sys::socket::shutdown(std::os::fd::AsRawFd::as_raw_fd(client.tcp.tcp()), nix::sys::socket::Shutdown::Both).unwrap();
    assert_eq!(read_to_end(&server).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn clients_that_are_silent_or_speak_something_else_hold_up_nobody() {
    let (listener, address, config) = listener().await;
    let _silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut other = tokio::net::TcpStream::connect(address).await.unwrap();
    other.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let good = tokio::spawn(connect(address, config));
    let (silent, other_end, server) = (accept(&listener).await, accept(&listener).await, accept(&listener).await);

    server.handshake().await.unwrap();
    let good = good.await.unwrap().unwrap();
    write_all(&server, b"hello").await.unwrap();
    assert_eq!(good.read(&mut [0; 16]).await.unwrap(), 5);

    let mut buffer = [0; 16];
    for _ in 0..2 {
        assert_eq!(other_end.read(&mut buffer).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
    assert!(other_end.write(&[IoSlice::new(b"x")]).await.is_err());
    let mut told = Vec::new();
    drop(other_end);
    drop(other.read_to_end(&mut told).await);
    assert_eq!(told.first(), Some(&21), "an alert of TLS: {told:?}");

    let waiting = tokio::time::timeout(Duration::from_millis(20), silent.read(&mut buffer));
    assert!(waiting.await.is_err());
    drop(_silent);
    assert_eq!(silent.read(&mut buffer).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_handshake_that_one_gave_up_is_finished_by_another() {
    let (listener, address, config) = listener().await;
    let client = Stream::connect(address, &OpenStreams::default()).await.unwrap();
    let server = Arc::new(accept(&listener).await);
    let mut buffer = [0; 16];
    let given_up = tokio::time::timeout(Duration::from_millis(5), server.read(&mut buffer));
    assert!(given_up.await.is_err());
    let writer = Arc::clone(&server);
    let writer = tokio::spawn(async move { write_all(&writer, b"both").await });
    let reader = tokio::spawn(async move { read_to_end(&server).await });
    let client = TlsStream::connect(client, config, ServerName::try_from("localhost").unwrap()).await.unwrap();
    assert_eq!(client.read(&mut buffer).await.unwrap(), 4);
    write_all(&client, b"ways").await.unwrap();
    drop(client);
    writer.await.unwrap().unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), b"ways");
}

#[tokio::test]
async fn a_client_trusts_only_whom_it_was_told_to() {
    let (listener, address, _) = listener().await;
    let (stranger, _) = identity();
    for config in [client_config(roots(stranger.as_bytes())).unwrap(), client_config(Vec::new()).unwrap()] {
        let client = tokio::spawn(connect(address, config));
        let server = accept(&listener).await;
        let refused = server.read(&mut [0; 4]).await.unwrap_err();
        let error = client.await.unwrap().err().unwrap().to_string();
        assert!(error.contains("invalid peer certificate"), "{error}");
        assert!(refused.to_string().contains("alert"), "{refused}");
    }
}

#[test]
fn what_is_no_certificate_or_key_is_an_error_that_says_so() {
    let (certificate, key) = identity();
    let (other, _) = identity();
    let refusal = |chain: &str, key: &str| server_config(chain.as_bytes(), key.as_bytes()).unwrap_err().to_string();
    assert!(refusal("nothing", &key).contains("no certificate"));
    assert!(refusal(&certificate, "nothing").contains("the key"));
    assert!(refusal(&other, &key).contains("cannot be used"));
    assert!(server_config(certificate.as_bytes(), key.as_bytes()).is_ok());

    let der = roots(certificate.as_bytes());
    assert_eq!(der.len(), 1);
    assert_eq!(roots(der[0].as_ref()), der, "DER is taken as it is");
    assert!(roots(b"nothing").is_empty() && roots(&[]).is_empty());
    assert!(client_config(roots(&[SEQUENCE, 1, 2])).unwrap_err().to_string().contains("authority"));
}

const SEQUENCE: u8 = 0x30;
