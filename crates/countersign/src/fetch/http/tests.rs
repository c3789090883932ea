//! Against real sockets.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use super::*;

/// Answers one connection after the other with the given bytes, and tells what it was asked.
struct Responder {
    address: SocketAddr,
    asked: mpsc::Receiver<String>,
}

impl Responder {
    fn new(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = mpsc::channel();
        std::thread::spawn(move || {
            for answer in answers {
                let Ok((mut stream, _)) = listener.accept() else { return };
                let mut buffer = [0; 4096];
                let count = stream.read(&mut buffer).unwrap_or(0);
                let _ = tell.send(String::from_utf8_lossy(&buffer[..count]).into_owned());
                let _ = stream.write_all(&answer);
            }
        });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn listed(&self) -> Http {
        http(&[&self.address.to_string()])
    }
}

fn http(listed: &[&str]) -> Http {
    let listed: Vec<Listed> = listed.iter().map(|listed| listed.parse().unwrap()).collect();
    Http::new(UpstreamTls::new(&[]).unwrap(), &listed)
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn fetches_a_crl_and_says_who_it_is() {
    let responder = Responder::new(vec![ok("crl")]);
    assert_eq!(responder.listed().crl(&responder.url("/a/ca.crl?x=1")).await.unwrap(), "crl");
    let asked = responder.asked.recv().unwrap().to_lowercase();
    assert!(asked.starts_with("get /a/ca.crl?x=1 http/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("host: {}\r\n", responder.address)) && asked.contains("user-agent: countersign/"));
    assert!(!asked.contains("authorization") && !asked.contains("cookie"));
}

#[tokio::test]
async fn connects_to_nobody_near_who_is_not_listed() {
    let responder = Responder::new(vec![]);
    let port = responder.address.port();
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://2130706433:{port}/"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://0.0.0.0/".to_owned(),
        "http://[::]/".to_owned(),
    ] {
        let error = http(&["127.0.0.1:1"]).crl(&url).await.unwrap_err();
        assert!(matches!(error, FetchError::Forbidden { .. }), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_redirect_is_looked_at_like_a_url() {
    let end = Responder::new(vec![ok("there")]);
    let start = Responder::new(vec![redirect(&end.url("/x"))]);
    let both = http(&[&start.address.to_string(), &end.address.to_string()]);
    assert_eq!(both.crl(&start.url("/")).await.unwrap(), "there");

    let start =
        Responder::new(vec![redirect("http://127.0.0.1:9/"), redirect("file:///etc/passwd"), redirect("//a@b/")]);
    let error = start.listed().crl(&start.url("/")).await.unwrap_err();
    assert!(matches!(error, FetchError::Forbidden { .. }), "{error}");
    for _ in 0..2 {
        let error = start.listed().crl(&start.url("/")).await.unwrap_err();
        assert!(matches!(error, FetchError::Url(_)), "{error}");
    }
}

#[tokio::test]
async fn redirects_end() {
    let responder = Responder::new(vec![redirect("/next"); 10]);
    let error = responder.listed().crl(&responder.url("/")).await.unwrap_err();
    assert!(matches!(error, FetchError::Redirects(_)), "{error}");
    assert_eq!(responder.asked.try_iter().count(), MAX_REDIRECTS + 1);
}

#[tokio::test]
async fn answers_are_whole_and_bounded() {
    let lies = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_vec();
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MAX_CRL_BYTES + 1).into_bytes();
    let more = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokand more".to_vec();
    let encoded = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok".to_vec();
    let missing = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec();
    let head = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: y\r\n".repeat(10_000)].concat();
    let responder = Responder::new(vec![lies, large, more, encoded, missing, b"no http".to_vec(), head]);
    let (http, url) = (responder.listed(), responder.url("/"));
    assert!(matches!(http.crl(&url).await.unwrap_err(), FetchError::Connection { .. }));
    assert!(matches!(http.crl(&url).await.unwrap_err(), FetchError::TooLarge { .. }));
    assert_eq!(http.crl(&url).await.unwrap(), "ok");
    assert!(matches!(http.crl(&url).await.unwrap_err(), FetchError::Connection { .. }));
    assert!(matches!(http.crl(&url).await.unwrap_err(), FetchError::Status { .. }));
    assert!(matches!(http.crl(&url).await.unwrap_err(), FetchError::Connection { .. }));
    assert!(matches!(http.crl(&url).await.unwrap_err(), FetchError::Connection { .. }));

    let endless = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; MAX_OCSP_BYTES + 1]].concat();
    let responder = Responder::new(vec![endless]);
    let error = responder.listed().ocsp(&responder.url("/"), &[0; 300]).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { limit: MAX_OCSP_BYTES, .. }), "{error}");
}

#[tokio::test]
async fn slow_answers_and_turns_are_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let http = http(&["127.0.0.1"]);
    let (soon, turns) = (Duration::from_millis(50), Turns::new((1, 1)));
    let ask = || Ask::get(1);
    let error = turns.within(soon, &url, http.fetch(&url, ask())).await.unwrap_err();
    assert!(matches!(error, FetchError::Time(_)), "{error}");
    let _taken = turns.all.acquire().await.unwrap();
    let error = turns.within(soon, &url, http.fetch(&url, ask())).await.unwrap_err();
    assert!(matches!(error, FetchError::Time(_)), "{error}");
}

#[tokio::test]
async fn a_host_that_does_not_answer_keeps_only_its_own_waiting() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let responder = Responder::new(vec![ok("good")]);
    let http = http(&["127.0.0.1"]);
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let waiting: Vec<_> = (0..MAX_OF_HOST)
        .map(|_| {
            let (http, url) = (http.clone(), url.clone());
            tokio::spawn(async move { http.ocsp(&url, b"request").await })
        })
        .collect();
    while http.ocsp_turns.of_host("127.0.0.1").is_some() {
        tokio::task::yield_now().await;
    }
    let error = http.ocsp(&url, b"request").await.unwrap_err();
    assert!(matches!(error, FetchError::Crowded(_)), "{error}");
    let url = format!("http://localhost:{}/", responder.address.port());
    assert_eq!(http.ocsp(&url, b"request").await.unwrap(), "good");
    assert!(waiting.iter().all(|asked| !asked.is_finished()));
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn asks_an_ocsp_responder_by_get_and_then_by_post() {
    let refuses = b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n".to_vec();
    let responder = Responder::new(vec![ok("short"), refuses, ok("posted"), ok("long")]);
    let (http, url) = (responder.listed(), responder.url("/ocsp"));
    assert_eq!(http.ocsp(&url, &[0xff, 0xef, 0xbe]).await.unwrap(), "short");
    assert!(responder.asked.recv().unwrap().starts_with("GET /ocsp/%2F%2B%2B%2B HTTP/1.1"));
    assert_eq!(http.ocsp(&url, b"request").await.unwrap(), "posted");
    assert!(responder.asked.recv().unwrap().starts_with("GET /ocsp/"));
    let posted = responder.asked.recv().unwrap();
    assert!(posted.starts_with("POST /ocsp HTTP/1.1") && posted.contains("application/ocsp-request"), "{posted}");
    assert_eq!(http.ocsp(&url, &[0; 300]).await.unwrap(), "long");
    assert!(responder.asked.recv().unwrap().starts_with("POST /ocsp HTTP/1.1"));
}

#[test]
fn reads_urls() {
    let place = |url: &str| Place::parse(url).map(|p| (p.tls, p.host, p.port, p.target));
    for (url, wanted) in [
        ("http://ca.test/a.crl", (false, "ca.test", 80, "/a.crl")),
        ("HTTP://ca.test", (false, "ca.test", 80, "/")),
        ("https://ca.test:8443?x", (true, "ca.test", 8443, "/?x")),
        ("http://[2001:db8::1]:81/x", (false, "2001:db8::1", 81, "/x")),
        ("http://[2001:db8::1]/x", (false, "2001:db8::1", 80, "/x")),
    ] {
        let (tls, host, port, target) = wanted;
        assert_eq!(place(url).unwrap(), (tls, host.to_owned(), port, target.to_owned()), "{url}");
    }
    for url in [
        "ldap://ca.test/cn=ca",
        "file:///etc/passwd",
        "ftp://ca.test/",
        "ca.test/a.crl",
        "/a.crl",
        "",
        "http:///a",
        "http://user@ca.test/",
        "http://user:secret@ca.test/",
        "http://ca.test:/",
        "http://ca.test:99999/",
        "http://ca test/",
        "gopher://ca.test",
        "http://",
    ] {
        assert!(place(url).is_err(), "{url}: {:?}", place(url));
    }
}

#[test]
fn resolves_references() {
    let base = Place::parse("http://ca.test:81/a/b.crl?x").unwrap();
    for (reference, host, port, target) in [
        ("/c", "ca.test", 81, "/c"),
        ("c", "ca.test", 81, "/a/c"),
        ("?y", "ca.test", 81, "/a/b.crl?y"),
        ("#f", "ca.test", 81, "/a/b.crl?x"),
        ("//other.test/z", "other.test", 80, "/z"),
        ("https://other.test/z#f", "other.test", 443, "/z"),
    ] {
        let joined = base.joined(reference).unwrap();
        assert_eq!((joined.host.as_str(), joined.port, joined.target.as_str()), (host, port, target), "{reference}");
    }
    assert!(base.joined("javascript:alert").is_err());
}

proptest::proptest! {
    #[test]
    fn whatever_a_certificate_names_a_request_can_be_made_of_it_or_it_is_refused(
        authority in "[a-z0-9:@.%\\[\\]_~-]{0,12}", rest in "(/|\\?|#|\\\\)?[ -~\u{80}-\u{2ff}]{0,20}", reference in "[ -~]{0,20}",
    ) {
        if let Ok(place) = Place::parse(&format!("http://{authority}{rest}")) {
            for place in [place.joined(&reference).ok(), Some(place)].into_iter().flatten() {
                let request = Request::builder().uri(&place.target).header(HOST, &place.authority).body(());
                proptest::prop_assert!(request.is_ok(), "{place:?}");
            }
        }
    }
}
