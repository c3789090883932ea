//! Against real sockets, with a clock that stands where it is put.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::AtomicI64;

use edge::UpstreamTls;
use serde_json::json;

use super::*;

thread_local! {
    static NOW: AtomicI64 = const { AtomicI64::new(1_000_000) };
}

/// Every test runs on one thread, fetches included.
fn now() -> UnixSeconds {
    NOW.with(|now| now.load(Ordering::Relaxed))
}

fn wait(seconds: i64) {
    NOW.with(|now| now.fetch_add(seconds, Ordering::Relaxed));
}

/// Answers by path; `{here}` in an answer is its own URL. Counts what it is asked.
struct Site {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
    answers: Arc<Mutex<HashMap<String, String>>>,
}

impl Site {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, answers) = (Arc::<AtomicU64>::default(), Arc::<Mutex<HashMap<String, String>>>::default());
        let (count, by_path) = (asked.clone(), answers.clone());
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).unwrap_or(0);
                let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default();
                count.fetch_add(1, Ordering::SeqCst);
                let answer = by_path.lock().unwrap().get(path).cloned();
                let answer = answer.unwrap_or_else(|| "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned());
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let site = Self { address, asked, answers };
        site.says(&site.url(), &format!("{}/keys", site.url()));
        site.has("first");
        site
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn issuer(&self) -> Issuer {
        Issuer::parse(&self.url()).unwrap()
    }

    fn says(&self, issuer: &str, jwks_uri: &str) {
        self.answer("/.well-known/openid-configuration", &json!({"issuer": issuer, "jwks_uri": jwks_uri}).to_string());
    }

    fn has(&self, kid: &str) {
        let key = json!({"kty": "EC", "kid": kid, "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"});
        self.answer("/keys", &json!({ "keys": [key] }).to_string());
    }

    fn answer(&self, path: &str, body: &str) {
        self.raw(path, format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    }

    fn raw(&self, path: &str, answer: String) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    fn is_down(&self) {
        self.answers.lock().unwrap().clear();
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

fn issuers() -> Issuers {
    let http = Http::new(UpstreamTls::new(&[]).unwrap(), &[]);
    Issuers::new(http, Handle::current(), now)
}

async fn fetched(issuers: &Issuers, issuer: &Issuer) -> Option<Arc<KeySet>> {
    issuers.fetch(issuer).await;
    issuers.known(issuer)
}

#[tokio::test]
async fn keys_are_found_once_for_many() {
    let (site, issuers) = (Site::new(), issuers());
    let issuer = site.issuer();
    assert!(issuers.known(&issuer).is_none());
    let waiting: Vec<_> = (0..50).map(|_| issuers.fetch(&issuer)).collect();
    for done in waiting {
        done.await;
    }
    assert!(issuers.known(&issuer).is_some());
    assert_eq!(site.asked(), 2);
}

#[tokio::test]
async fn unknown_names_of_keys_cannot_make_us_ask_on_and_on() {
    let (site, issuers) = (Site::new(), issuers());
    let first = fetched(&issuers, &site.issuer()).await;
    site.has("second");
    for _ in 0..20 {
        assert_eq!(fetched(&issuers, &site.issuer()).await, first);
    }
    assert_eq!(site.asked(), 2);
    wait(PAUSE_SECONDS);
    assert_ne!(fetched(&issuers, &site.issuer()).await, first);
    assert_eq!(site.asked(), 4);
}

#[tokio::test]
async fn old_keys_are_fetched_again_and_stand_in_for_a_day() {
    let (site, issuers) = (Site::new(), issuers());
    let issuer = site.issuer();
    let first = fetched(&issuers, &issuer).await;
    assert!(first.is_some());
    site.has("second");
    wait(FRESH_SECONDS);
    assert_eq!(issuers.known(&issuer), first, "nobody waits");
    // What was begun meanwhile.
    let second = fetched(&issuers, &issuer).await;
    assert_ne!(second, first);
    site.is_down();
    wait(STALE_SECONDS - 1);
    assert_eq!(fetched(&issuers, &issuer).await, second);
    wait(1);
    assert_eq!(fetched(&issuers, &issuer).await, None);
    site.says(&site.url(), &format!("{}/keys", site.url()));
    site.has("third");
    wait(PAUSE_SECONDS);
    assert!(fetched(&issuers, &issuer).await.is_some());
}

#[tokio::test]
async fn an_issuer_speaks_for_itself_and_leads_nowhere_else() {
    let site = Site::new();
    let other = Site::new();
    for (issuer, jwks_uri) in [
        (format!("{}/", site.url()), format!("{}/keys", site.url())),
        (other.url(), format!("{}/keys", site.url())),
        (site.url(), format!("http://{}.example/keys", site.address.ip())),
        (site.url(), "file:///etc/passwd".to_owned()),
        (site.url(), "https://169.254.169.254/keys".to_owned()),
        (site.url(), String::new()),
    ] {
        site.says(&issuer, &jwks_uri);
        assert_eq!(fetched(&issuers(), &site.issuer()).await, None, "{issuer} {jwks_uri}");
    }
    site.says(&site.url(), &format!("{}/keys", site.url()));
    for answer in [
        "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/keys\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nlocation: http://id.example/keys\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nlocation: /keys\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
    ] {
        site.raw("/keys", answer.clone());
        assert_eq!(fetched(&issuers(), &site.issuer()).await, None, "{answer}");
    }
    site.raw("/keys", "HTTP/1.1 302 Found\r\nlocation: /moved\r\ncontent-length: 0\r\n\r\n".to_owned());
    let set = site.answers.lock().unwrap()["/keys"].clone();
    site.has("first");
    let keys = site.answers.lock().unwrap()["/keys"].clone();
    site.raw("/moved", keys);
    site.raw("/keys", set);
    assert!(fetched(&issuers(), &site.issuer()).await.is_some(), "a redirect on the same site is followed");
}

#[test]
fn so_many_issuers_are_remembered_and_no_more() {
    let mut known = HashMap::new();
    for number in 0..MAX_ISSUERS {
        let issuer = Issuer::parse(&format!("https://{number}.example")).unwrap();
        known.insert(issuer, Entry { used: number as i64 + 1, ..Entry::default() });
    }
    let oldest = Issuer::parse("https://0.example").unwrap();
    make_room(&mut known, &oldest);
    assert_eq!(known.len(), MAX_ISSUERS);
    make_room(&mut known, &Issuer::parse("https://new.example").unwrap());
    assert!(known.len() < MAX_ISSUERS && !known.contains_key(&oldest));
}
