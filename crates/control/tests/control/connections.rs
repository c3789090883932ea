//! Connections: their end, and what is no HTTP.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Server;

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.origin.strip_prefix("http://").unwrap()).await.unwrap()
}

/// Of a request whose body is still to come; its signature is wrong.
fn head(access_key_id: &str) -> String {
    format!(
        "POST /v2/apis HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\nexpect: 100-continue\r\nauthorization: \
         AWS4-HMAC-SHA256 Credential={access_key_id}/20251122/us-east-1/apigateway/aws4_request, SignedHeaders=host, \
         Signature=00\r\n\r\n"
    )
}

#[tokio::test]
async fn a_body_is_not_waited_for_where_the_access_key_does_not_exist() {
    let server = Server::start().await;
    let mut stranger = connect(&server).await;
    stranger.write_all(head("AKIAAAAAAAAAAAAAAAAA").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stranger.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("UnrecognizedClientException"), "{answer}");
}

#[tokio::test]
async fn a_request_under_way_is_answered_when_the_server_stops() {
    let server = Server::start().await;
    let mut idle = connect(&server).await;
    let mut busy = connect(&server).await;
    // The interim answer shows that the server is waiting for the body.
    busy.write_all(head(&server.credentials.access_key_id).as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    busy.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.stop.send(()).unwrap();
    let mut rest = Vec::new();
    assert_eq!(idle.read_to_end(&mut rest).await.unwrap(), 0, "an idle connection is closed");
    busy.write_all(b"{}").await.unwrap();
    busy.read_to_end(&mut rest).await.unwrap();
    let answer = String::from_utf8_lossy(&rest);
    assert!(answer.starts_with("HTTP/1.1 40") && answer.contains("message"), "{answer}");
    server.served.await.unwrap();
}

#[tokio::test]
async fn garbage_and_oversized_heads_end_their_connection_only() {
    let server = Server::start().await;
    let mut large = b"GET /_countersign/health HTTP/1.1\r\nhost: localhost\r\nx: ".to_vec();
    large.resize(1024 * 1024, b'x');
    for sent in [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), b"\r\n\r\nGET\r\n\r\n".to_vec(), large] {
        let mut stream = connect(&server).await;
        // The server may have closed already.
        let _ = stream.write_all(&sent).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
        let health = server.send(server.request("GET", "/_countersign/health", b"")).await;
        assert_eq!(health.status(), 200);
    }
}
