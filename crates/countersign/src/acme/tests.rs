use instant_acme::SuggestedWindow;
use model::resource::{CertificateLife, CertificateOrigin, Tags};
use model::{Change, Keyring};
use time::OffsetDateTime;

use super::*;

fn certificate(id: &str, names: &[&str]) -> Arc<Certificate> {
    Arc::new(Certificate {
        arn: id.to_owned(),
        region: "us-east-1".to_owned(),
        domain_name: names[0].to_owned(),
        alternative_names: names.iter().map(|&name| name.to_owned()).collect(),
        certificate: String::new(),
        chain: None,
        private_key: Keyring::new(&[3; 32]).unwrap().seal(id, b"").unwrap(),
        origin: CertificateOrigin::AmazonIssued,
        key_algorithm: "EC_prime256v1".to_owned(),
        created: 0,
        life: CertificateLife { acme: true, ..CertificateLife::default() },
        tags: Tags::new(),
    })
}

#[tokio::test]
async fn tries_keep_out_of_each_others_way() {
    let mut tries = Tries::default();
    let (end, ended) = tokio::sync::watch::channel(false);
    let begin = |tries: &mut Tries, certificate: &Arc<Certificate>| {
        let before = tries.certificates.len();
        let mut ended = ended.clone();
        tries.begin(certificate.clone(), |_| async move { drop(ended.wait_for(|ended| *ended).await) });
        tries.certificates.len() > before
    };
    let first = certificate("1", &["a.example", "b.example"]);
    assert!(begin(&mut tries, &first));
    assert!(!begin(&mut tries, &first), "it is under way");
    assert!(!begin(&mut tries, &certificate("2", &["b.example"])), "a name in common");
    for id in 3..=9 {
        let name = format!("{id}.example");
        assert!(begin(&mut tries, &certificate(&id.to_string(), &[&name])));
    }
    assert!(!begin(&mut tries, &certificate("10", &["10.example"])), "enough at a time");
    end.send_replace(true);
    for _ in 0..AT_ONCE {
        tries.ended().await;
    }
    assert!(begin(&mut tries, &certificate("2", &["b.example"])));
}

#[tokio::test]
async fn only_changes_of_certificates_and_orders_matter() {
    let seen = State::default();
    let (sender, mut states) = tokio::sync::watch::channel(Arc::new(seen.clone()));
    let mut other = seen.clone();
    other.apply(1, &[]).unwrap();
    sender.send_replace(Arc::new(other.clone()));
    assert!(timeout(Duration::ZERO, changed(&mut states, &seen)).await.is_err());
    other.apply(2, &[Change::put(certificate("1", &["a.example"]).as_ref())]).unwrap();
    sender.send_replace(Arc::new(other));
    assert!(changed(&mut states, &seen).await);
    drop(sender);
    assert!(!changed(&mut states, &seen).await);
}

#[test]
fn a_suggested_time_is_in_its_window_and_stays() {
    let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    let suggested = SuggestedWindow { start: at(100), end: at(200) };
    for (random, chosen) in [(0, 100_000), (7, 100_007), (100_000, 200_000), (100_001, 100_000)] {
        let window = suggested::window(&suggested, None, random);
        assert_eq!(window, Some((100_000, 200_000, chosen)));
        assert_eq!(suggested::window(&suggested, window, 1), window, "it is the same window");
    }
    let moved = SuggestedWindow { start: at(150), end: at(150) };
    assert_eq!(suggested::window(&moved, Some((100_000, 200_000, 100_007)), 5), Some((150_000, 150_000, 150_000)));
    let backwards = SuggestedWindow { start: at(2), end: at(1) };
    assert_eq!(suggested::window(&backwards, None, 5), None);
}
