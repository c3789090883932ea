use model::Keyring;
use model::resource::{CertificateOrigin, Tags};

use super::*;

const NOW: UnixMillis = 1_763_830_800_000;
const HOUR: UnixMillis = 3_600_000;
const DAY: UnixMillis = 24 * HOUR;
const ARN: &str = "arn:aws:acm:us-east-1:123456789012:certificate/1";

/// Valid for 90 days from now on, unless it is pending.
fn certificate(validation: Option<CertificateValidation>) -> Certificate {
    let validity = validation.is_none().then_some((NOW, NOW + 90 * DAY));
    Certificate {
        arn: ARN.to_owned(),
        region: "us-east-1".to_owned(),
        domain_name: "a.example".to_owned(),
        alternative_names: vec!["a.example".to_owned()],
        certificate: String::new(),
        chain: None,
        private_key: Keyring::new(&[3; 32]).unwrap().seal(ARN, b"").unwrap(),
        origin: CertificateOrigin::AmazonIssued,
        key_algorithm: "EC_prime256v1".to_owned(),
        created: NOW,
        life: CertificateLife { acme: true, validity, validation, ..CertificateLife::default() },
        tags: Tags::new(),
    }
}

fn pending() -> Certificate {
    certificate(Some(CertificateValidation::Pending))
}

fn claimed(node: &str, until: UnixMillis) -> AcmeOrder {
    AcmeOrder { claim: Some(AcmeClaim { node: node.to_owned(), until }), ..AcmeOrder::new(ARN, NOW) }
}

fn state(certificate: &Certificate, order: Option<&AcmeOrder>) -> State {
    let mut state = State::default();
    let changes: Vec<_> = [Change::put(certificate)].into_iter().chain(order.map(Change::put)).collect();
    state.apply(1, &changes).unwrap();
    state
}

fn at(certificate: &Certificate, order: Option<&AcmeOrder>, suggested: Option<UnixMillis>) -> Option<UnixMillis> {
    let order = order.map(|order| Arc::new(order.clone()));
    try_at(certificate, order.as_ref(), "here", &|_| suggested, NOW)
}

fn failed(again: Option<UnixMillis>) -> Failed {
    Failed { reason: "CAA_ERROR", why: "no".to_owned(), again, order_stands: false }
}

#[test]
fn what_is_tried_when() {
    let issued = certificate(None);
    let refused = certificate(Some(CertificateValidation::Failed { reason: "OTHER".to_owned() }));
    let old = Certificate { created: NOW - VALIDATION_TIME, ..pending() };
    let later = AcmeOrder::new(ARN, NOW + HOUR);
    for (name, expected, found) in [
        ("a request", Some(NOW), at(&pending(), Some(&AcmeOrder::new(ARN, NOW)), None)),
        ("a request that has failed for now", Some(NOW + HOUR), at(&pending(), Some(&later), None)),
        ("a request whose order is lost", Some(NOW), at(&pending(), None, None)),
        ("a request that was refused", None, at(&refused, Some(&later), None)),
        ("a request that has taken too long", None, at(&old, Some(&later), None)),
        ("another node's", Some(NOW + 1), at(&pending(), Some(&claimed("there", NOW + 1)), None)),
        ("what another node has let go of", Some(NOW), at(&pending(), Some(&claimed("there", NOW)), None)),
        ("what this node was at before a restart", Some(NOW), at(&pending(), Some(&claimed("here", NOW + 1)), None)),
        ("a renewal", Some(NOW + 60 * DAY), at(&issued, None, None)),
        ("a renewal that the issuer wants now", Some(NOW + 90 * DAY / 1000), at(&issued, None, Some(NOW))),
        ("a renewal that the issuer wants later", Some(NOW + 70 * DAY), at(&issued, None, Some(NOW + 70 * DAY))),
        ("a renewal that the issuer wants too late", Some(NOW + 81 * DAY), at(&issued, None, Some(NOW + 90 * DAY))),
        ("a renewal that has failed", Some(NOW + HOUR), at(&issued, Some(&later), None)),
    ] {
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn work_is_due_or_comes_at_a_time() {
    let due = work(&state(&pending(), Some(&AcmeOrder::new(ARN, NOW))), "here", &|_| None, NOW);
    assert_eq!((due.due[0].arn.as_str(), due.next), (ARN, None));
    let later = work(&state(&certificate(None), None), "here", &|_| None, NOW);
    assert_eq!((later.due.len(), later.next), (0, Some(NOW + 60 * DAY)));
    let local = Certificate { life: CertificateLife::default(), ..certificate(None) };
    let nothing = work(&state(&local, None), "here", &|_| None, NOW + 89 * DAY);
    assert_eq!((nothing.due.len(), nothing.next), (0, None), "the local CA renews its own");
}

#[test]
fn a_request_fails_for_good_only_where_it_would_again() {
    let order = AcmeOrder { failures: 2, ..claimed("here", NOW + HOUR) };
    let mut after = state(&pending(), Some(&order));
    after.apply(2, &failed_changes(&pending(), &order, &failed(Some(10_000)), NOW)).unwrap();
    let kept = &after.acme_orders[ARN];
    assert_eq!((kept.at, kept.failures, &kept.claim), (NOW + 40_000, 3, &None));
    assert!(!is_failing_renewal(&after, kept), "there is nothing to be renewed");
    after.apply(3, &failed_changes(&pending(), &order, &failed(None), NOW)).unwrap();
    assert!(after.acme_orders.is_empty());
    let refused = Some(CertificateValidation::Failed { reason: "CAA_ERROR".to_owned() });
    assert_eq!(after.certificates[ARN].life.validation, refused);
}

#[test]
fn a_renewal_is_tried_on_and_on() {
    let (issued, order) = (certificate(None), claimed("here", NOW + HOUR));
    let mut after = state(&issued, Some(&order));
    after.apply(2, &failed_changes(&issued, &order, &failed(None), NOW)).unwrap();
    assert_eq!(*after.certificates[ARN], issued);
    assert_eq!(after.acme_orders[ARN].at, NOW + LONGEST_PAUSE);
    assert!(is_failing_renewal(&after, &after.acme_orders[ARN]));
}

#[test]
fn an_order_that_stands_is_gone_on_with() {
    let placed = PlacedOrder {
        url: "https://issuer/1".to_owned(),
        private_key: Keyring::new(&[3; 32]).unwrap().seal(ARN, b"").unwrap(),
        answers: Vec::new(),
    };
    let order = AcmeOrder { placed: Some(placed), ..claimed("here", NOW) };
    for stands in [true, false] {
        let mut after = state(&pending(), Some(&order));
        let failed = Failed { order_stands: stands, ..failed(Some(1)) };
        after.apply(2, &failed_changes(&pending(), &order, &failed, NOW)).unwrap();
        assert_eq!(after.acme_orders[ARN].placed.is_some(), stands);
    }
}

#[test]
fn pauses_grow_and_end_growing() {
    assert_eq!(pause(10_000, 0), 10_000);
    assert_eq!(pause(10_000, 3), 80_000);
    assert_eq!(pause(10_000, u32::MAX), LONGEST_PAUSE);
    assert_eq!(pause(UnixMillis::MAX, 9), LONGEST_PAUSE);
}
