//! The requests of AWS's `http_desync_guardian`, put to the edge; its classifier judges what arrives at the backend.
//!
//! The list is in the crate's package and is read from there. A request may be refused. If it is not, it arrives once, and what
//! arrives has to be [`Compliant`](RequestSafetyTier::Compliant): what the classifier calls Acceptable are odd characters, lines
//! and versions, which a gateway that writes the request anew has no reason to pass on. The one exception: [`is_payload_of_get`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use http_desync_guardian::request_analyzer::HttpRequestData;
use http_desync_guardian::{ClassificationReason, RequestSafetyTier};
use model::Change;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{DOMAIN, Setup, deployment};

/// Requests of the list.
const REQUESTS: usize = 159;
/// Bytes of the largest payload that is really sent; a larger one is declared only.
const PAYLOAD: usize = 10_000_000;

#[tokio::test]
async fn what_arrives_is_compliant() {
    let mut world = Setup::new().start().await;
    let (listener, arrivals) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arrivals::default());
    let address = listener.local_addr().unwrap();
    tokio::spawn(arrivals.clone().listen(listener));
    world.commit(&[Change::put(&deployment(address, 5_000))]).await;
    let client = world.client(Some(&world.ca.client("alice")));

    let requests = read_list();
    assert_eq!(requests.len(), REQUESTS);
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for request in &requests {
        let answer = client.raw(request.bytes()).await.unwrap_or_default();
        let status = answer.get(9..12).unwrap_or("closed").to_owned();
        let arrived = arrivals.take();
        let expected = usize::from(status == "200");
        let verdicts: Vec<_> = arrived.iter().map(|bytes| HttpRequestData::analyze_raw_request(bytes)).collect();
        for verdict in &verdicts {
            if verdict.tier != RequestSafetyTier::Compliant && !is_payload_of_get(request, verdict.reason) {
                wrong.push(format!("{}: {:?} {:?}", request.name, verdict.tier, verdict.message));
            }
        }
        if arrived.len() != expected {
            wrong.push(format!("{}: answered {status}, and {} arrived", request.name, arrived.len()));
        }
        let how = verdicts.first().map_or(status, |verdict| format!("arrived, {:?}", verdict.tier));
        *outcomes.entry(format!("{}: {how}", request.tier)).or_default() += 1;
    }
    println!("{outcomes:#?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A payload (also an empty one) of GET or HEAD with one framing. RFC 9110 section 9.3.1 leaves it without semantics, but not
/// without an end; searches are sent that way, so it is passed on.
fn is_payload_of_get(request: &Listed, reason: ClassificationReason) -> bool {
    use ClassificationReason as Reason;
    matches!(request.method.as_str(), "GET" | "HEAD")
        && matches!(
            reason,
            Reason::UndefinedContentLengthSemantics
                | Reason::UndefinedTransferEncodingSemantics
                | Reason::GetHeadZeroContentLength
        )
}

/// A request of the list, and the tier that the list gives it.
#[derive(Debug, Default)]
struct Listed {
    name: String,
    method: String,
    uri: String,
    version: String,
    headers: Vec<(String, String)>,
    tier: String,
}

impl Listed {
    /// As it is sent: for our domain and our route, with a payload of the length that it declares.
    fn bytes(&self) -> Vec<u8> {
        let Self { method, uri, version, .. } = self;
        let mut head = format!("{method} /proxy{uri} {version}\r\nhost: {DOMAIN}\r\nconnection: close\r\n");
        let (mut length, mut is_chunked) = (0, false);
        for (name, value) in self.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
            head += &format!("{name}: {value}\r\n");
            let plain = name.to_ascii_lowercase();
            is_chunked |= plain.contains("encoding") && value.to_ascii_lowercase().contains("chunked");
            if plain.contains("length") {
                length = value.trim().parse().unwrap_or(length);
            }
        }
        head += "\r\n";
        let payload = match is_chunked {
            true => b"5\r\nhello\r\n0\r\n\r\n".to_vec(),
            false => vec![b'x'; length.min(PAYLOAD)],
        };
        [head.into_bytes(), payload].concat()
    }
}

/// The bytes that reached the backend, request by request.
#[derive(Clone, Default)]
struct Arrivals(Arc<Mutex<Vec<Vec<u8>>>>);

impl Arrivals {
    fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    async fn listen(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(self.clone().serve(stream));
        }
    }

    /// Keeps what comes up to the end of a request, answers it and closes: what is left of one is never of the next.
    async fn serve(self, mut stream: TcpStream) {
        let mut received = Vec::new();
        while !is_whole(&received) {
            match stream.read_buf(&mut received).await {
                Ok(1..) => {}
                _ => return,
            }
        }
        self.0.lock().unwrap().push(received);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    }
}

fn is_whole(received: &[u8]) -> bool {
    let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
    let payload = &received[end + 4..];
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    match (value("transfer-encoding:"), value("content-length:")) {
        (Some(_), _) => payload.ends_with(b"0\r\n\r\n"),
        (None, Some(length)) => payload.len() >= length.parse().unwrap_or(0),
        (None, None) => true,
    }
}

/// The list, from the package of the crate.
fn read_list() -> Vec<Listed> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let package =
        metadata["packages"].as_array().unwrap().iter().find(|package| package["name"] == "http_desync_guardian");
    let manifest = PathBuf::from(package.unwrap()["manifest_path"].as_str().unwrap());
    let mut files: Vec<PathBuf> = std::fs::read_dir(manifest.with_file_name("tests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files.iter().flat_map(|path| read_file(&std::fs::read_to_string(path).unwrap())).collect()
}

/// The part of YAML that these files use: a list of maps, one scalar a line, and a list of headers inside.
fn read_file(text: &str) -> Vec<Listed> {
    let mut requests: Vec<Listed> = Vec::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let Some((key, value)) = line.trim_start().split_once(':') else { continue };
        let value = scalar(value.trim());
        if (indent, key) == (0, "- name") {
            requests.push(Listed { name: value, ..Listed::default() });
            continue;
        }
        let Some(request) = requests.last_mut() else { continue };
        match (indent, key) {
            (2, "method") => request.method = value,
            (2, "uri") => request.uri = value,
            (2, "version") => request.version = value,
            (4, "- name") => request.headers.push((value, String::new())),
            (6, "value") => request.headers.last_mut().unwrap().1 = value,
            (4, "tier") => request.tier = value,
            _ => {}
        }
    }
    requests
}

/// Escapes are the files' own; in double quotes YAML has undone them once before.
fn scalar(text: &str) -> String {
    if let Some(quoted) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return unescape(&unescape(quoted));
    }
    unescape(text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or(text))
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        plain.push(match char {
            '\\' => match chars.next().unwrap() {
                'x' => u8::from_str_radix(&chars.by_ref().take(2).collect::<String>(), 16).unwrap().into(),
                '0' => '\0',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            },
            other => other,
        });
    }
    plain
}
