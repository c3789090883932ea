//! What a domain's rules make of what is known of revocations.

mod support;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, CrlDistributionPoint, CustomExtension, SerialNumber};
use support::list::{Answer, DAY, List, der, good, revoked, sequence, unknown};
use support::{Authority, NOW, bundle, ca_params, leaf_params, new_key, outcome, pem_of, truststore};
use trust::{
    CertId, Certificate, Crl, Fallback, Fetch, Fetched, Judgment, Lookup, NothingFetched, OcspStatus, Policy, Profile,
    RevocationRules, Revocations, Scope, Truststore, Verdict,
};

const LISTED: &str = "ClientCertCrlHit";
const UNKNOWN: &str = "ClientCertCrlProcessingError";

fn read(der: &[u8]) -> Arc<Crl> {
    Arc::new(Crl::read(der).unwrap().remove(0))
}

fn rules(fetch: Fetch) -> RevocationRules {
    RevocationRules { fetch, ..RevocationRules::default() }
}

/// `accepted`, the refusal's code, or what has to be fetched: `needs CN=client: http://…`.
fn told(judgment: &Judgment) -> String {
    let Verdict::NeedsStatus(requests) = &judgment.verdict else { return outcome(judgment) };
    assert_eq!(judgment.holds_until, NOW, "not to be remembered");
    assert!(judgment.path().is_none() && judgment.refusal().is_none() && !judgment.is_accepted());
    let requests = requests.iter().map(|request| {
        let urls = [&request.ocsp_urls[..], &request.crl_urls].concat().join(" ");
        format!("{} by {}: {urls}", request.certificate.subject(), request.issuer.subject())
    });
    format!("needs {}", requests.collect::<Vec<_>>().join(", "))
}

/// What was fetched so far: whatever is not here was not asked for yet.
#[derive(Default)]
struct Cache {
    crls: HashMap<&'static str, Lookup<Arc<Crl>>>,
    ocsp: HashMap<CertId, Lookup<Arc<OcspStatus>>>,
}

impl Fetched for Cache {
    fn crl(&self, url: &str, _: &Certificate) -> Lookup<Arc<Crl>> {
        self.crls.get(url).cloned().unwrap_or(Lookup::Unasked)
    }

    fn ocsp(&self, id: &CertId) -> Lookup<Arc<OcspStatus>> {
        self.ocsp.get(id).cloned().unwrap_or(Lookup::Unasked)
    }
}

fn failed<T>(until: i64) -> Lookup<T> {
    Lookup::Failed { why: "connection refused".to_owned(), until }
}

/// Names lists at http://crl.test/NAME/1 and /2, and a responder at http://ocsp.test.
fn naming(mut params: CertificateParams, name: &str, serial: u8) -> CertificateParams {
    let uris = (1..=2).map(|number| format!("http://crl.test/{name}/{number}")).collect();
    params.crl_distribution_points = vec![CrlDistributionPoint { uris }];
    let method = der(0x06, &[&[0x2b, 6, 1, 5, 5, 7, 48, 1]]);
    let access = sequence(&[&sequence(&[&method, &der(0x86, &[b"http://ocsp.test"])])]);
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access)];
    params.serial_number = Some(SerialNumber::from(vec![serial]));
    params
}

/// A root, and a client of it with serial number 42 that names where its status is.
struct Case {
    root: Authority,
    client: Vec<u8>,
    store: Truststore,
}

impl Case {
    fn new() -> Self {
        let root = Authority::root("Root");
        let client = root.leaf_of(naming(leaf_params("client"), "root", 42));
        let store = truststore(&root.pem());
        Self { root, client, store }
    }

    fn judge_at(&self, rules: RevocationRules, lists: &[List], cache: &Cache, at: i64) -> Judgment {
        let crls = lists.iter().map(|list| read(&list.by(&self.root))).collect();
        let revocations = Revocations { rules, crls };
        self.store.judge(&[&self.client], &Policy::default(), &revocations.view(cache), at)
    }

    fn judge(&self, rules: RevocationRules, lists: &[List], cache: &Cache) -> Judgment {
        self.judge_at(rules, lists, cache, NOW)
    }

    fn list(&self, list: &List) -> Lookup<Arc<Crl>> {
        Lookup::Found(read(&list.by(&self.root)))
    }

    fn id(&self) -> CertId {
        let certificate = |der: &[u8]| Certificate::from_der(der).unwrap();
        CertId::of(&certificate(&self.client), &certificate(self.root.der()))
    }

    fn answer(&self, answer: &Answer) -> Lookup<Arc<OcspStatus>> {
        let certificate = |der: &[u8]| Certificate::from_der(der).unwrap();
        let response = answer.by(&self.root, &self.client, &self.root);
        // Read while it was current.
        let (client, root) = (certificate(&self.client), certificate(self.root.der()));
        let status = OcspStatus::read(&response, &client, &root, answer.this_update);
        Lookup::Found(Arc::new(status.unwrap()))
    }
}

fn stale(list: List) -> List {
    list.dated(NOW - 2 * DAY, NOW - DAY)
}

#[test]
fn fallbacks() {
    let case = Case::new();
    let nothing: &[List] = &[];
    let old = &[stale(List::default())][..];
    for (lists, on_missing, on_stale, expected) in [
        (nothing, Fallback::Deny, Fallback::Allow, UNKNOWN),
        (nothing, Fallback::Allow, Fallback::Deny, "accepted"),
        (old, Fallback::Deny, Fallback::Allow, "accepted"),
        (old, Fallback::Allow, Fallback::Deny, UNKNOWN),
        (&[stale(List::of(&[&[42]]))], Fallback::Allow, Fallback::Allow, LISTED),
        (&[List::of(&[&[42]])], Fallback::Allow, Fallback::Allow, LISTED),
    ] {
        let rules = RevocationRules { on_missing, on_stale, ..RevocationRules::default() };
        assert_eq!(told(&case.judge(rules, lists, &Cache::default())), expected);
    }
    let missing = case.judge(RevocationRules::default(), nothing, &Cache::default());
    let missing = missing.refusal().unwrap();
    assert_eq!(
        missing.detail,
        "whether \"CN=client\" is revoked is not known: there is no revocation list of \"CN=Root\", or none that can \
         be used"
    );
    assert!(missing.evidence.contains(&("crl_issuer_wanted", "CN=Root".to_owned())));
    assert!(missing.fix.as_ref().unwrap().contains("countersign:revocation-on-missing=allow"));
    let outdated = case.judge(RevocationRules::default(), old, &Cache::default());
    let outdated = outdated.refusal().unwrap();
    assert!(outdated.detail.ends_with("is out of date since 2026-11-21T00:00:00Z"), "{}", outdated.detail);
    assert!(outdated.evidence.contains(&("stale_since", "2026-11-21T00:00:00Z".to_owned())));
    assert!(outdated.fix.as_ref().unwrap().contains("countersign:revocation-on-stale=allow"));
}

#[test]
fn lists_are_fetched_where_the_certificate_says() {
    let case = Case::new();
    let (first, second) = ("http://crl.test/root/1", "http://crl.test/root/2");
    let (hit, miss) = (case.list(&List::of(&[&[42]])), case.list(&List::default()));
    let newer_hit = case.list(&List::of(&[&[42]]).dated(NOW - 10, NOW + DAY));
    let old = case.list(&stale(List::default()));
    let old_hit = case.list(&stale(List::of(&[&[42]])));
    let none = || Lookup::Unasked;
    let foreign = Lookup::Found(read(&List::default().by(&Authority::root("Root"))));
    let both = "needs CN=client by CN=Root: http://crl.test/root/1 http://crl.test/root/2";
    for (one, two, expected) in [
        (none(), none(), both),
        (miss.clone(), none(), "accepted"),
        (none(), hit.clone(), LISTED),
        (failed(NOW + 5), none(), "needs CN=client by CN=Root: http://crl.test/root/2"),
        (failed(NOW + 5), failed(NOW + 9), UNKNOWN),
        (failed(NOW + 5), miss.clone(), "accepted"),
        (old.clone(), none(), "needs CN=client by CN=Root: http://crl.test/root/2"),
        (old.clone(), failed(NOW + 5), UNKNOWN),
        (old_hit.clone(), none(), LISTED),
        (old_hit, miss.clone(), "accepted"),
        (foreign.clone(), none(), "needs CN=client by CN=Root: http://crl.test/root/2"),
        (foreign, miss.clone(), "accepted"),
        (miss, newer_hit, LISTED),
    ] {
        let cache = Cache { crls: HashMap::from([(first, one), (second, two)]), ..Cache::default() };
        assert_eq!(told(&case.judge(rules(Fetch::Crl), &[], &cache)), expected);
        // Nobody fetches what nobody said may be fetched; and what the operator gives comes first.
        assert_eq!(told(&case.judge(rules(Fetch::None), &[], &cache)), UNKNOWN);
        assert_eq!(told(&case.judge(rules(Fetch::Crl), &[List::default()], &cache)), "accepted");
        assert_eq!(told(&case.judge(rules(Fetch::Crl), &[List::of(&[&[42]])], &cache)), LISTED);
        assert_eq!(told(&case.judge(rules(Fetch::Crl), &[stale(List::of(&[&[42]]))], &cache)), LISTED);
        assert_eq!(told(&case.judge(rules(Fetch::Crl), &[stale(List::default())], &cache)), expected);
    }
    let cache = Cache { crls: HashMap::from([(first, failed(NOW + 5)), (second, old)]), ..Cache::default() };
    let refused = case.judge(rules(Fetch::Crl), &[], &cache);
    assert!(
        refused.refusal().unwrap().evidence.contains(&("passed_over", format!("{first}: connection refused"))),
        "{refused:?}"
    );
    assert_eq!(refused.holds_until, NOW + 5, "then it is tried again");
}

#[test]
fn responders_are_asked_where_the_certificate_says() {
    let case = Case::new();
    let list = "http://crl.test/root/1";
    let lists = "needs CN=client by CN=Root: http://crl.test/root/1 http://crl.test/root/2";
    let responder = "needs CN=client by CN=Root: http://ocsp.test";
    let old = |status| Answer::of(status).dated(NOW - DAY, NOW - 301);
    for (answer, by_responder, then_by_list) in [
        (None, responder, responder),
        (Some(case.answer(&Answer::of(good()))), "accepted", "accepted"),
        (Some(case.answer(&Answer::of(revoked(Some(1))))), LISTED, LISTED),
        (Some(case.answer(&Answer::of(unknown()))), UNKNOWN, lists),
        (Some(case.answer(&old(good()))), UNKNOWN, lists),
        (Some(case.answer(&old(unknown()))), UNKNOWN, lists),
        (Some(case.answer(&old(revoked(None)))), LISTED, LISTED),
        (Some(failed(NOW + 5)), UNKNOWN, lists),
    ] {
        let mut cache =
            Cache { ocsp: answer.map(|answer| (case.id(), answer)).into_iter().collect(), ..Cache::default() };
        assert_eq!(told(&case.judge(rules(Fetch::Ocsp), &[], &cache)), by_responder);
        assert_eq!(told(&case.judge(rules(Fetch::OcspThenCrl), &[], &cache)), then_by_list);
        assert_eq!(told(&case.judge(rules(Fetch::Crl), &[], &cache)), lists);
        assert_eq!(told(&case.judge(rules(Fetch::Ocsp), &[List::default()], &cache)), "accepted");
        if then_by_list == lists {
            cache.crls.insert(list, case.list(&List::default()));
            assert_eq!(told(&case.judge(rules(Fetch::OcspThenCrl), &[], &cache)), "accepted");
        }
    }
    let stale = Cache { ocsp: HashMap::from([(case.id(), case.answer(&old(good())))]), ..Cache::default() };
    let allowing = RevocationRules { on_stale: Fallback::Allow, ..rules(Fetch::Ocsp) };
    assert_eq!(told(&case.judge(allowing, &[], &stale)), "accepted");
    let revoked =
        Cache { ocsp: HashMap::from([(case.id(), case.answer(&Answer::of(revoked(Some(1)))))]), ..Cache::default() };
    let judgment = case.judge(rules(Fetch::Ocsp), &[], &revoked);
    assert_eq!(
        judgment.refusal().unwrap().detail,
        "\"CN=client\" (serial number 42) was revoked on 2026-11-21T00:00:00Z (keyCompromise), says the OCSP responder \
         of \"CN=Root\" as of 2026-11-21T23:00:00Z"
    );
}

#[test]
fn certificates_that_name_nothing() {
    let root = Authority::root("Root");
    let client = root.leaf("client");
    for fetch in [Fetch::Crl, Fetch::Ocsp, Fetch::OcspThenCrl] {
        for (on_missing, expected) in [(Fallback::Deny, UNKNOWN), (Fallback::Allow, "accepted")] {
            let rules = RevocationRules { on_missing, ..rules(fetch) };
            let revocations = Revocations { rules, crls: Vec::new() };
            let cache = Cache::default();
            let store = truststore(&root.pem());
            let judgment = store.judge(&[&client], &Policy::default(), &revocations.view(&cache), NOW);
            assert_eq!(told(&judgment), expected);
            assert_eq!(judgment.holds_until, rcgen::date_time_ymd(2040, 1, 1).unix_timestamp());
        }
    }
}

#[test]
fn how_long_a_judgement_holds() {
    let case = Case::new();
    let expiry = rcgen::date_time_ymd(2040, 1, 1).unix_timestamp();
    let allow =
        RevocationRules { on_stale: Fallback::Allow, on_missing: Fallback::Allow, ..RevocationRules::default() };
    let future = List::default().dated(NOW + DAY, NOW + 2 * DAY);
    for (rules, list, expected, until) in [
        (allow, List::default().dated(NOW - 5, NOW + 5), "accepted", NOW + 5),
        (allow, List::of(&[&[42]]).dated(NOW - 5, NOW + 5), LISTED, NOW + 5),
        (allow, List::default().dated(NOW - 5, None), "accepted", expiry),
        (allow, stale(List::default()), "accepted", expiry),
        (allow, stale(List::of(&[&[42]])), LISTED, expiry),
        (RevocationRules::default(), stale(List::default()), UNKNOWN, expiry),
        (RevocationRules::default(), future.clone(), UNKNOWN, NOW + DAY - 301),
        (allow, future, "accepted", NOW + DAY - 301),
    ] {
        let judgment = case.judge(rules, std::slice::from_ref(&list), &Cache::default());
        assert_eq!((told(&judgment).as_str(), judgment.holds_until), (expected, until));
        // And it does: at its last second it is the same, and at the next it was judged anew for a reason.
        let later = case.judge_at(rules, std::slice::from_ref(&list), &Cache::default(), until);
        assert_eq!(told(&later), expected);
    }
    let answer = case.answer(&Answer::default());
    let cache = Cache { ocsp: HashMap::from([(case.id(), answer)]), ..Cache::default() };
    assert_eq!(case.judge(rules(Fetch::Ocsp), &[], &cache).holds_until, NOW + 3600 + 300);
    // What is fetched is renewed, and a refusal for it is not for long.
    let (url, other) = ("http://crl.test/root/1", "http://crl.test/root/2");
    for (list, expected, until) in [
        (List::default(), "accepted", NOW + 9 * DAY),
        (List::of(&[&[42]]), LISTED, NOW + 300),
        (stale(List::of(&[&[42]])), LISTED, NOW + 300),
        (stale(List::default()), UNKNOWN, NOW + 300),
        (List::default().dated(NOW + DAY, NOW + 2 * DAY), UNKNOWN, NOW + 300),
        (List::of(&[&[42]]).dated(NOW - 5, NOW + 5), LISTED, NOW + 5),
    ] {
        let cache =
            Cache { crls: HashMap::from([(url, case.list(&list)), (other, case.list(&list))]), ..Cache::default() };
        let judgment = case.judge(rules(Fetch::Crl), &[], &cache);
        assert_eq!((told(&judgment).as_str(), judgment.holds_until), (expected, until));
    }
    let unknown = Cache { ocsp: HashMap::from([(case.id(), case.answer(&Answer::of(unknown())))]), ..Cache::default() };
    assert_eq!(case.judge(rules(Fetch::Ocsp), &[], &unknown).holds_until, NOW + 300);
    let failing = Cache { ocsp: HashMap::from([(case.id(), failed(NOW + 60))]), ..Cache::default() };
    assert_eq!(case.judge(rules(Fetch::Ocsp), &[], &failing).holds_until, NOW + 60);
}

#[test]
fn scope_and_several_requests() {
    let root = Authority::root("Root");
    let sub = root.sub_with(naming(ca_params("Sub"), "root", 7), new_key());
    let client = sub.leaf_of(naming(leaf_params("client"), "sub", 42));
    let store = truststore(&bundle(&[&root, &sub]));
    let judge = |scope, cache: &Cache, lists: &[Vec<u8>]| {
        let rules = RevocationRules { scope, ..rules(Fetch::Crl) };
        let revocations = Revocations { rules, crls: lists.iter().map(|list| read(list)).collect() };
        told(&store.judge(&[&client], &Policy::default(), &revocations.view(cache), NOW))
    };
    let leaf_needs = "needs CN=client by CN=Sub: http://crl.test/sub/1 http://crl.test/sub/2";
    let both_need = format!("{leaf_needs}, CN=Sub by CN=Root: http://crl.test/root/1 http://crl.test/root/2");
    let nothing = Cache::default();
    assert_eq!(judge(Scope::Chain, &nothing, &[]), both_need, "asked for in one go");
    assert_eq!(judge(Scope::Leaf, &nothing, &[]), leaf_needs);
    assert_eq!(judge(Scope::Leaf, &nothing, &[List::default().by(&sub)]), "accepted");
    assert_eq!(judge(Scope::Chain, &nothing, &[List::default().by(&root)]), leaf_needs);
    // Nothing is fetched for a path on which something is revoked already.
    assert_eq!(judge(Scope::Chain, &nothing, &[List::of(&[&[7]]).by(&root)]), LISTED);
    assert_eq!(judge(Scope::Leaf, &nothing, &[List::of(&[&[7]]).by(&root), List::default().by(&sub)]), "accepted");
}

#[test]
fn nothing_is_asked_for_paths_that_are_bad_otherwise() {
    struct Counting(Mutex<u32>);
    impl Fetched for Counting {
        fn crl(&self, _: &str, _: &Certificate) -> Lookup<Arc<Crl>> {
            *self.0.lock().unwrap() += 1;
            Lookup::Unasked
        }

        fn ocsp(&self, _: &CertId) -> Lookup<Arc<OcspStatus>> {
            *self.0.lock().unwrap() += 1;
            Lookup::Unasked
        }
    }
    let case = Case::new();
    let stranger = Authority::root("Root").leaf_of(naming(leaf_params("client"), "root", 42));
    let mut expired = naming(leaf_params("client"), "root", 42);
    expired.not_after = rcgen::date_time_ymd(2026, 1, 1);
    let expired = case.root.leaf_of(expired);
    let revocations = Revocations { rules: rules(Fetch::OcspThenCrl), crls: Vec::new() };
    for (chain, expected, asked) in [
        (&stranger, "ClientCertSignatureInvalid", 0),
        (&expired, "ClientCertExpired", 0),
        (&case.client, "needs CN=client by CN=Root: http://ocsp.test", 1),
    ] {
        let counting = Counting(Mutex::new(0));
        let judgment = case.store.judge(&[chain], &Policy::default(), &revocations.view(&counting), NOW);
        assert_eq!((told(&judgment).as_str(), *counting.0.lock().unwrap()), (expected, asked));
    }
}

#[test]
fn another_path_may_need_nothing() {
    // The same intermediate, certified by two roots: by one it is revoked or not known to be good, by the other it is good.
    let (one, two) = (Authority::root("One"), Authority::root("Two"));
    let key = new_key();
    let again = rcgen::KeyPair::try_from(key.serialize_der()).unwrap();
    let by_one = one.sub_with(naming(ca_params("Sub"), "one", 7), key);
    let by_two = two.sub_with(naming(ca_params("Sub"), "two", 8), again);
    let client = by_one.leaf_of(leaf_params("client"));
    let (fine, bad) = (List::default(), List::of(&[&[7], &[8]]));
    let policy = Policy::of(Profile::Rfc5280);
    let needs = |name: &str, root: &str| {
        format!("needs CN=Sub by CN={root}: http://crl.test/{name}/1 http://crl.test/{name}/2")
    };
    for (of_one, of_two, expected) in [
        (Some(&fine), Some(&fine), "accepted".to_owned()),
        (Some(&fine), None, "accepted".to_owned()),
        (None, Some(&fine), "accepted".to_owned()),
        (Some(&bad), Some(&fine), "accepted".to_owned()),
        (Some(&fine), Some(&bad), "accepted".to_owned()),
        (Some(&bad), Some(&bad), LISTED.to_owned()),
        (Some(&bad), None, needs("two", "Two")),
        (None, Some(&bad), needs("one", "One")),
        (None, None, needs("one", "One")),
    ] {
        let mut crls = vec![read(&fine.by(&by_one))];
        crls.extend(of_one.map(|list| read(&list.by(&one))));
        crls.extend(of_two.map(|list| read(&list.by(&two))));
        let revocations = Revocations { rules: rules(Fetch::Crl), crls };
        let cache = Cache::default();
        let chain: &[&[u8]] = &[&client, by_one.der(), by_two.der()];
        let store = truststore(&bundle(&[&one, &two]));
        let judgment = store.judge(chain, &policy, &revocations.view(&cache), NOW);
        assert_eq!(told(&judgment), expected, "{:?}", judgment.trail);
    }
}

#[test]
fn a_listed_leaf_is_checked_against_its_issuer_if_that_is_there() {
    let case = Case::new();
    let listed = truststore(&format!("{}{}", case.root.pem(), pem_of(&case.client)));
    let alone = truststore(&pem_of(&case.client));
    let judge = |store: &Truststore, fetch, list: Option<List>| {
        let crls = list.map(|list| read(&list.by(&case.root))).into_iter().collect();
        let revocations = Revocations { rules: rules(fetch), crls };
        told(&store.judge(&[&case.client], &Policy::default(), &revocations.view(&Cache::default()), NOW))
    };
    assert_eq!(judge(&listed, Fetch::None, Some(List::of(&[&[42]]))), LISTED);
    assert_eq!(judge(&listed, Fetch::None, Some(List::default())), "accepted");
    assert_eq!(judge(&listed, Fetch::None, None), UNKNOWN);
    assert_eq!(judge(&listed, Fetch::Ocsp, None), "needs CN=client by CN=Root: http://ocsp.test");
    // Without its issuer it is its own anchor.
    assert_eq!(judge(&alone, Fetch::Ocsp, Some(List::of(&[&[42]]))), "accepted");
}

#[test]
fn nothing_fetched_is_a_failure_for_good() {
    let case = Case::new();
    let revocations = Revocations { rules: rules(Fetch::OcspThenCrl), crls: Vec::new() };
    let view = revocations.view(&NothingFetched);
    let judgment = case.store.judge(&[&case.client], &Policy::default(), &view, NOW);
    assert_eq!(told(&judgment), UNKNOWN);
}

#[test]
fn names_in_tags() {
    let every = |names: &str| names.split(", ").map(str::to_owned).collect::<Vec<_>>();
    for name in every(Scope::VALUES) {
        assert_eq!(serde_json::to_value(Scope::parse(&name).unwrap()).unwrap(), name);
    }
    for name in every(Fallback::VALUES) {
        assert_eq!(serde_json::to_value(Fallback::parse(&name).unwrap()).unwrap(), name);
    }
    for name in every(Fetch::VALUES) {
        assert_eq!(serde_json::to_value(Fetch::parse(&name).unwrap()).unwrap(), name);
    }
    assert!(Scope::parse("").is_none() && Fallback::parse("Deny").is_none() && Fetch::parse("crl+ocsp").is_none());
}

#[test]
fn what_an_operator_should_hear_of_lists() {
    let (root, store) = (Authority::root("Root"), |root: &Authority| truststore(&root.pem()));
    let list = |from: i64, until: i64| List::of(&[]).dated(NOW + from, NOW + until);
    let deny = RevocationRules::default();
    let allow = RevocationRules { on_missing: Fallback::Allow, on_stale: Fallback::Allow, ..deny };
    for (lists, in_force, said) in [
        (vec![list(-DAY, 30 * DAY)], deny, &[][..]),
        (vec![list(-10 * DAY, 3600)], deny, &["will be out of date on"]),
        (vec![list(-1800, 1800)], deny, &[]),
        (vec![list(-1800, 60)], deny, &["will be out of date on"]),
        (vec![list(-9 * DAY, -DAY)], deny, &["its clients are refused"]),
        (vec![list(-9 * DAY, -DAY)], allow, &["is still let in"]),
        (vec![list(-9 * DAY, -DAY)], rules(Fetch::Crl), &["depend on what is fetched"]),
        (vec![list(-9 * DAY, -DAY), list(-DAY, 30 * DAY)], deny, &[]),
        (vec![List::of(&[]).dated(NOW - DAY, None)], deny, &[]),
        (vec![], deny, &["There is no revocation list of \"CN=Root\": its clients will be refused."]),
        (vec![], allow, &[]),
        (vec![], rules(Fetch::Ocsp), &[]),
    ] {
        let crls = lists.iter().map(|list| read(&list.by(&root))).collect();
        let warnings = Revocations { rules: in_force, crls }.warnings(&store(&root), NOW);
        assert_eq!(warnings.len(), said.len(), "{warnings:?}");
        assert!(warnings.iter().zip(said).all(|(warning, said)| warning.contains(said)), "{warnings:?}");
    }
}

#[test]
fn a_ca_above_others_needs_no_list_for_leaves_alone() {
    let root = Authority::root("Root");
    let below = root.sub("Below");
    let store = truststore(&bundle(&[&root, &below]));
    let warned = |scope| {
        let rules = RevocationRules { scope, ..RevocationRules::default() };
        let crls = vec![read(&List::of(&[]).by(&below))];
        Revocations { rules, crls }.warnings(&store, NOW).len()
    };
    assert_eq!((warned(Scope::Chain), warned(Scope::Leaf)), (1, 0));
}

#[test]
fn whether_a_newer_list_takes_something_away() {
    let root = Authority::root("Root");
    let list = |serials: &[&[u8]]| read(&List::of(serials).by(&root));
    let long: &[u8] = &[0x01, 0x02, 0x03, 0x04];
    for (before, now, more) in [
        (&[][..], &[][..], false),
        (&[], &[&[5][..]][..], true),
        (&[&[5][..]], &[], false),
        (&[&[5][..]], &[&[5][..]], false),
        (&[&[5][..]], &[&[6][..]], true),
        (&[&[5][..], long], &[&[5][..]], false),
        (&[&[5][..]], &[&[5][..], long], true),
    ] {
        assert_eq!(list(now).revokes_more_than(&list(before)), more, "{before:?} {now:?}");
    }
}
