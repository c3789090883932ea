//! Who came is told to the ledger, with how often.

use std::io::ErrorKind;

use journal::ledger::{Entry, Ledger, Query, State};
use model::Rejection;
use trust::Code;

use crate::support::{Authority, Client, DOMAIN, Http, NOW, Setup, Tls, World};

/// Stops the edge and reads what it told the ledger.
async fn seen(world: World) -> Vec<Entry> {
    let ledger: Ledger = world.ledger.clone();
    let _directory = world.finish().await;
    ledger.sync().unwrap();
    ledger.clients(&Query { limit: Query::MAX_PAGE, ..Query::default() }).unwrap().clients
}

fn subject(entry: &Entry) -> &str {
    &entry.certificate.as_ref().expect("a certificate that can be read").subject
}

async fn pipelined(client: &Client, name: &str, requests: usize) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = client.connect_to(name).await.unwrap();
    for number in 1..=requests {
        let close = if number == requests { "connection: close\r\n" } else { "" };
        let head = format!("GET /proxy/x HTTP/1.1\r\nhost: {name}\r\n{close}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
    }
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), requests, "{answers}");
}

#[tokio::test]
async fn requests_are_counted_on_kept_and_resumed_connections_per_domain() {
    let world = Setup::new().start().await;
    for tls in [Tls::V12, Tls::V13] {
        let client = world.client(Some(&world.ca.client(&format!("{tls:?}")))).with(tls, Http::V1);
        pipelined(&client, DOMAIN, 3).await;
        let resumed = client.connect().await.unwrap();
        assert_eq!(resumed.get_ref().1.handshake_kind(), Some(tokio_rustls::rustls::HandshakeKind::Resumed));
        drop(resumed);
        pipelined(&client, DOMAIN, 2).await;
        pipelined(&client, "other.example.com", 4).await;
    }
    let entries = seen(world).await;
    let mut counts: Vec<_> =
        entries.iter().map(|entry| (subject(entry).to_owned(), entry.domain.as_str(), entry.accepted)).collect();
    counts.sort();
    let wanted = |tls| [(format!("CN={tls}"), "*.example.com", 4), (format!("CN={tls}"), DOMAIN, 5)];
    assert_eq!(counts, [wanted("V12"), wanted("V13")].concat());
    for entry in &entries {
        assert_eq!((entry.state, entry.refused, entry.refusal), (State::Accepted, 0, None));
        assert_eq!((entry.first_seen, entry.last_seen, entry.last_accepted), (NOW, NOW, Some(NOW)));
        assert!(entry.source.is_loopback() && entry.ever_accepted);
    }
}

#[tokio::test]
async fn the_refused_are_counted_whatever_the_way() {
    for rejection in [Rejection::Respond, Rejection::Alert, Rejection::Reset, Rejection::Aws] {
        let world = Setup::rejecting(rejection).start().await;
        let stranger = Authority::new("Foreign").client("stranger");
        for http in [Http::V1, Http::V2] {
            let client = world.client(Some(&stranger)).with(Tls::V13, http);
            let answer = client.get(http, "/proxy/x").await;
            assert_eq!(answer.is_ok(), matches!(rejection, Rejection::Respond | Rejection::Aws), "{rejection:?}");
        }
        // Who shows nothing is nobody.
        if let Err(error) = world.client(None).get(Http::V1, "/proxy/x").await {
            assert_ne!(error.kind(), ErrorKind::TimedOut);
        }
        let entries = seen(world).await;
        let [entry] = &entries[..] else { panic!("{rejection:?}: {entries:?}") };
        assert_eq!(subject(entry), "CN=stranger");
        assert_eq!((entry.state, entry.accepted, entry.refused), (State::Refused, 0, 2), "{rejection:?}");
        assert_eq!((entry.refusal, entry.ever_accepted), (Some(Code::ClientCertUntrusted), false));
    }
}

#[tokio::test]
async fn who_asks_for_nothing_is_seen_and_who_is_refused_later_stays_known() {
    let mut world = Setup::new().start().await;
    let identity = world.ca.client("alice");
    let client = world.client(Some(&identity));
    let mut silent = client.connect().await.unwrap();
    {
        use tokio::io::AsyncReadExt;
        world.trust(&Authority::new("Others").pem(), Rejection::Respond).await;
        let _ = silent.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!(world.refusal().await.code, Code::ClientCertUntrusted);
    let entries = seen(world).await;
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((entry.accepted, entry.refused, entry.state), (0, 1, State::Refused));
    assert!(entry.ever_accepted);
}

#[tokio::test]
async fn a_flood_of_strangers_is_only_counted() {
    let world = Setup::rejecting(Rejection::Alert).start().await;
    let foreign = Authority::new("Foreign");
    let ours = world.client(Some(&world.ca.client("alice")));
    assert_eq!(ours.get(Http::V1, "/proxy/x").await.unwrap().status, 200);
    for number in 0..40 {
        let stranger = world.client(Some(&foreign.client(&number.to_string())));
        assert!(stranger.get(Http::V1, "/proxy/x").await.is_err());
    }
    let ledger = world.ledger.clone();
    let entries = seen(world).await;
    assert_eq!(entries.iter().filter(|entry| entry.ever_accepted).map(subject).collect::<Vec<_>>(), ["CN=alice"]);
    assert_eq!(entries.len(), 1 + usize::from(journal::ledger::STRANGERS_PER_SOURCE));
    let sampled_out = ledger.completeness(None).unwrap().sampled_out.unwrap();
    assert_eq!(sampled_out.count, 40 - u64::from(journal::ledger::STRANGERS_PER_SOURCE));
}
