//! A cheap HTTP/1.1 upstream with keep-alive: GET /b/<n> gives n bytes, /echo gives the request head back.

use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub async fn serve(listen: SocketAddr) {
    let listener = TcpListener::bind(listen).await.unwrap_or_else(|e| crate::tls::fail(&format!("{listen}: {e}")));
    loop {
        if let Ok((s, _)) = listener.accept().await {
            s.set_nodelay(true).ok();
            tokio::spawn(async move {
                let _ = connection(s).await;
            });
        }
    }
}

async fn connection(mut s: TcpStream) -> std::io::Result<()> {
    let mut buf = vec![0u8; 64 * 1024];
    let mut len = 0;
    // the last response is kept: the same path gives the same bytes
    let mut cached: (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    loop {
        let (head, mut body, echo) = loop {
            let mut headers = [httparse::EMPTY_HEADER; 100];
            let mut r = httparse::Request::new(&mut headers);
            if let Ok(httparse::Status::Complete(n)) = r.parse(&buf[..len]) {
                let path = r.path.unwrap_or("/");
                let echo = path == "/echo";
                if !echo && cached.0 != path.as_bytes() {
                    let size: usize = path
                        .strip_prefix("/b/")
                        .and_then(|p| p.split('?').next())
                        .and_then(|p| p.parse().ok())
                        .unwrap_or(2);
                    cached = (path.as_bytes().to_vec(), response(&vec![b'x'; size]));
                }
                let body = r
                    .headers
                    .iter()
                    .find(|h| h.name.eq_ignore_ascii_case("content-length"))
                    .and_then(|h| std::str::from_utf8(h.value).ok()?.parse::<usize>().ok())
                    .unwrap_or(0);
                break (n, body, echo);
            }
            if len == buf.len() {
                return Ok(());
            }
            match s.read(&mut buf[len..]).await? {
                0 => return Ok(()),
                n => len += n,
            }
        };
        let echoed = echo.then(|| response(&buf[..head]));
        buf.copy_within(head..len, 0);
        len -= head;
        while body > 0 {
            let n = body.min(len);
            buf.copy_within(n..len, 0);
            len -= n;
            body -= n;
            if body > 0 {
                match s.read(&mut buf).await? {
                    0 => return Ok(()),
                    n => len = n,
                }
            }
        }
        s.write_all(echoed.as_ref().unwrap_or(&cached.1)).await?;
    }
}

fn response(body: &[u8]) -> Vec<u8> {
    let mut v =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n", body.len())
            .into_bytes();
    v.extend_from_slice(body);
    v
}
