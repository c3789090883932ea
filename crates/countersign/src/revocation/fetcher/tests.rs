//! Whole, against real sockets.

use std::io::{Read, Write};
use std::net::TcpListener;

use rcgen::{BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyPair};
use rcgen::{CrlDistributionPoint, KeyIdMethod, KeyUsagePurpose, RevokedCertParams, SerialNumber};

use super::*;

const NOW: UnixSeconds = 1_800_000_000;

fn at(seconds: UnixSeconds) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Arc<Certificate>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let certificate = Arc::new(Certificate::from_der(certificate.der()).unwrap());
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// What has to be known of a client that names its list at `url`.
    fn request(&self, url: &str) -> StatusRequest {
        let mut params = CertificateParams::default();
        params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![url.to_owned()] }];
        let client = params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap();
        let certificate = Arc::new(Certificate::from_der(client.der()).unwrap());
        let crl_urls = certificate.crl_urls().to_vec();
        StatusRequest { certificate, issuer: self.certificate.clone(), crl_urls, ocsp_urls: Vec::new() }
    }

    fn list(&self) -> Vec<u8> {
        self.list_of(&[])
    }

    fn list_of(&self, serials: &[u64]) -> Vec<u8> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: at(NOW - 60),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: at(NOW - 60),
            next_update: at(NOW + 3600),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

/// Gives `body` to everybody who asks; its URL.
fn server(body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/list.crl", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    url
}

fn fetcher(directory: &Path) -> Fetcher {
    let http = Http::new(edge::UpstreamTls::new(&[]).unwrap(), &["127.0.0.1".parse().unwrap()]);
    Fetcher::new(directory, http, Handle::current(), || NOW).unwrap()
}

#[tokio::test]
async fn one_issuer_cannot_spoil_the_list_of_another() {
    let directory = tempfile::tempdir().unwrap();
    let fetcher = fetcher(directory.path());
    let (mine, other) = (Authority::new("Mine"), Authority::new("Other"));
    let url = server(mine.list());
    // A client of the other authority names my list as its own.
    fetcher.fetch(vec![other.request(&url)]).await;
    assert!(matches!(fetcher.crl(&url, &other.certificate), Lookup::Failed { .. }));
    assert!(matches!(fetcher.crl(&url, &mine.certificate), Lookup::Unasked), "mine was not asked for yet");
    fetcher.fetch(vec![mine.request(&url)]).await;
    assert!(matches!(fetcher.crl(&url, &mine.certificate), Lookup::Found(_)));
    assert!(matches!(fetcher.crl(&url, &other.certificate), Lookup::Failed { .. }));
}

#[tokio::test]
async fn what_is_too_much_has_failed() {
    let directory = tempfile::tempdir().unwrap();
    let fetcher = fetcher(directory.path());
    let authority = Authority::new("Authority");
    let url = server(authority.list());
    let (_sender, receiver) = watch::channel(());
    let fill = |range: std::ops::Range<usize>| {
        for number in range {
            let key = Key::List(ListId::new(&format!("http://{number}.test"), &authority.certificate));
            fetcher.shared.lock().insert(key, receiver.clone());
        }
    };
    let source = |url: &str| {
        let StatusRequest { certificate, issuer, crl_urls, .. } = authority.request(url);
        Source { certificate, issuer, urls: crl_urls }
    };
    fill(0..MAX_REFRESHED);
    let other = Key::List(ListId::new("http://other.test", &authority.certificate));
    assert!(fetcher.shared.start(other.clone(), source("http://other.test"), true).is_none(), "it can wait");
    assert!(fetcher.shared.start(other, source("http://other.test"), false).is_some());
    fill(MAX_REFRESHED..MAX_UNDER_WAY);
    fetcher.fetch(vec![authority.request(&url)]).await;
    let found = fetcher.crl(&url, &authority.certificate);
    assert!(matches!(found, Lookup::Failed { .. }), "whoever waits would ask again without end: {found:?}");
}

#[tokio::test]
async fn what_an_earlier_run_fetched_is_fetched_again_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("Authority");
    let url = server(authority.list_of(&[7]));
    let id = ListId::new(&url, &authority.certificate);
    let cache = Cache::open(directory.path()).unwrap();
    let name = Key::List(id.clone()).name(&Source {
        certificate: authority.certificate.clone(),
        issuer: authority.certificate.clone(),
        urls: Vec::new(),
    });
    cache.write(&name, &authority.list()).unwrap();
    let fetcher = fetcher(directory.path());
    let listed = |fetcher: &Fetcher| match fetcher.crl(&url, &authority.certificate) {
        Lookup::Found(list) => list.len(),
        other => panic!("{other:?}"),
    };
    fetcher.fetch(vec![authority.request(&url)]).await;
    assert_eq!(listed(&fetcher), 0, "nobody waits for what is there");
    fetcher.refresh(NOW);
    let mut done = fetcher.shared.lock().get(&Key::List(id)).expect("it is under way").clone();
    let _ = done.changed().await;
    assert_eq!(listed(&fetcher), 1);
    assert!(fetcher.shared.news.load(Ordering::Relaxed), "who was let in is judged again");
}
