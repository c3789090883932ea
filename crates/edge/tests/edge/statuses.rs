//! Clients whose status has to be fetched: they wait, and are judged by what is in force when the wait is over.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use edge::{EdgeConfig, StatusFetcher};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use model::resource::Domain;
use model::{Change, Rejection};
use rcgen::CrlDistributionPoint;
use tokio::sync::{mpsc, watch};
use trust::{CertId, Certificate, Crl, Fetched, Lookup, NothingFetched, OcspStatus, StatusRequest};

use crate::support::{Authority, DOMAIN, Http, Identity, Setup, World, domain, leaf_params};

/// Knows nothing until it is told to give up.
#[derive(Clone, Debug)]
struct Slow {
    gave_up: watch::Sender<bool>,
    asked: mpsc::UnboundedSender<()>,
}

impl Fetched for Slow {
    fn crl(&self, url: &str, issuer: &Certificate) -> Lookup<Arc<Crl>> {
        if *self.gave_up.borrow() { NothingFetched.crl(url, issuer) } else { Lookup::Unasked }
    }

    fn ocsp(&self, id: &CertId) -> Lookup<Arc<OcspStatus>> {
        NothingFetched.ocsp(id)
    }
}

impl StatusFetcher for Slow {
    fn known(&self) -> &dyn Fetched {
        self
    }

    fn so_far(&self) -> &dyn Fetched {
        &NothingFetched
    }

    fn fetch(&self, _: Vec<StatusRequest>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut gave_up = self.gave_up.subscribe();
        // The test may have seen enough.
        let _ = self.asked.send(());
        Box::pin(async move { drop(gave_up.wait_for(|gave_up| *gave_up).await) })
    }
}

/// A gateway with that fetcher, and who is asked of it.
async fn start(rejection: Rejection) -> (World, Slow, mpsc::UnboundedReceiver<()>) {
    let (asked, asking) = mpsc::unbounded_channel();
    let slow = Slow { gave_up: watch::Sender::new(false), asked };
    let config = EdgeConfig { status_fetcher: Arc::new(slow.clone()), ..EdgeConfig::default() };
    let world = Setup { config, ..Setup::rejecting(rejection) }.start().await;
    (world, slow, asking)
}

/// Has the lists fetched that certificates name; `on_missing` is for who has none.
fn fetching(pem: &str, rejection: Rejection, on_missing: &str) -> Change {
    let mut domain: Domain = domain(DOMAIN, Some(pem), rejection);
    domain.tags.insert("countersign:revocation-fetch".into(), "crl".into());
    domain.tags.insert("countersign:revocation-on-missing".into(), on_missing.into());
    Change::put(&domain)
}

fn client(ca: &Authority) -> Identity {
    let mut params = leaf_params("client");
    params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec!["http://crl.test/a".into()] }];
    ca.issue(params)
}

#[tokio::test]
async fn nobody_is_let_in_before_the_status_is_known() {
    for rejection in [Rejection::Respond, Rejection::Alert, Rejection::Reset] {
        for (http, on_missing, status) in [
            (Http::V1, "allow", Some(200)),
            (Http::V2, "allow", Some(200)),
            (Http::V1, "deny", Some(403)),
            (Http::V2, "deny", Some(403)),
        ] {
            let (mut world, slow, mut asking) = start(rejection).await;
            let pem = world.ca.pem();
            world.commit(&[fetching(&pem, rejection, on_missing)]).await;
            let client = world.client(Some(&client(&world.ca))).with(crate::support::Tls::V13, http);
            let answer = tokio::spawn(async move { client.get(http, "/proxy/x").await });
            asking.recv().await.expect("somebody asks");
            assert!(world.backend.seen().is_empty() && !answer.is_finished(), "{rejection:?} {http:?}");
            slow.gave_up.send_replace(true);
            let answer = answer.await.unwrap().map(|answer| answer.status).ok();
            let status = if rejection == Rejection::Respond { status } else { status.filter(|status| *status == 200) };
            assert_eq!(answer, status, "{rejection:?} {http:?} {on_missing}");
            assert_eq!(world.backend.seen().len(), usize::from(status == Some(200)));
        }
    }
}

#[tokio::test]
async fn who_finds_nothing_out_is_not_asked_without_end() {
    /// Is done at once, and knows as much as before.
    #[derive(Debug)]
    struct Idle(mpsc::UnboundedSender<()>);

    impl Fetched for Idle {
        fn crl(&self, _: &str, _: &Certificate) -> Lookup<Arc<Crl>> {
            Lookup::Unasked
        }

        fn ocsp(&self, _: &CertId) -> Lookup<Arc<OcspStatus>> {
            Lookup::Unasked
        }
    }

    impl StatusFetcher for Idle {
        fn known(&self) -> &dyn Fetched {
            self
        }

        fn so_far(&self) -> &dyn Fetched {
            &NothingFetched
        }

        fn fetch(&self, _: Vec<StatusRequest>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            let _ = self.0.send(());
            Box::pin(std::future::ready(()))
        }
    }

    let (asked, asking) = mpsc::unbounded_channel();
    let config = EdgeConfig { status_fetcher: Arc::new(Idle(asked)), ..EdgeConfig::default() };
    let mut world = Setup { config, ..Setup::new() }.start().await;
    let pem = world.ca.pem();
    world.commit(&[fetching(&pem, Rejection::Respond, "deny")]).await;
    let answer = world.client(Some(&client(&world.ca))).get(Http::V1, "/proxy/x").await.unwrap();
    assert_eq!((answer.status, asking.len()), (403, 1));
}

#[tokio::test]
async fn who_waits_is_judged_by_what_is_in_force_then() {
    let (mut world, slow, mut asking) = start(Rejection::Respond).await;
    let stream = world.client(Some(&client(&world.ca))).connect().await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = || {
        let request = http::Request::get("/proxy/x").header("host", DOMAIN);
        request.body(Empty::<bytes::Bytes>::new()).unwrap()
    };
    assert_eq!(sender.send_request(request()).await.unwrap().status(), 200);
    let pem = world.ca.pem();
    world.commit(&[fetching(&pem, Rejection::Respond, "allow")]).await;
    asking.recv().await.expect("the connection is looked at again");
    let answer = tokio::spawn(async move { sender.send_request(request()).await });
    asking.recv().await.expect("the request waits");
    world.trust(&Authority::new("Others").pem(), Rejection::Respond).await;
    slow.gave_up.send_replace(true);
    let answer = answer.await.unwrap();
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 403));
    assert_eq!(world.backend.seen().len(), 1, "what waited does not come through");
}
