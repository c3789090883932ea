//! What a compiled snapshot answers, what it takes over from the one before, and what a broken domain does not do to others.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use model::resource::{
    AccessKey, Api, ApiMapping, ApiPolicy, Authorization, Certificate, CertificateOrigin, Deployment, Domain, Endpoint,
    HeaderMatch, Integration, IntegrationKind, NamedObject, NewerVersion, RestApi, RestIntegration, RestMethod,
    RestResource, Route, RoutingRule, RuleCondition, Stage, VpcLink,
};
use model::snapshot::{Defaults, Found, Snapshot};
use model::{Blob, Blobs, Change, Keyring, Rejection, State};
use proptest::prelude::*;

struct World {
    keyring: Keyring,
    state: State,
    blobs: Blobs,
    defaults: Defaults,
}

impl World {
    /// One API with the stages `prod` and `$default`, and the domains `api.example.com` and `*.example.com`.
    fn new() -> Self {
        let defaults = Defaults { execute_api_suffix: "localhost".into(), rejection: Rejection::Respond };
        let policy = |effect: &str| Blob::of(format!("{effect}(principal, action, resource);").into_bytes());
        let blobs = Blobs::from([
            ("one".into(), truststore()),
            ("two".into(), truststore()),
            ("permits".into(), policy("permit")),
            ("forbids".into(), policy("forbid")),
            ("unreadable".into(), policy("perhaps")),
        ]);
        let mut world = Self { keyring: Keyring::new(&[1; 32]).unwrap(), state: State::default(), blobs, defaults };
        let changes = [
            Change::put(&api()),
            Change::put(&deployment(false)),
            Change::put(&stage("prod")),
            Change::put(&stage("$default")),
            Change::put(&world.certificate("server")),
            Change::put(&Endpoint {
                region: "us-east-1".into(),
                certificate: "PEM".into(),
                private_key: world.keyring.seal("endpoints/us-east-1", b"KEY").unwrap(),
            }),
            Change::put(&domain("api.example.com", Some("one"))),
            Change::put(&domain("*.example.com", None)),
            Change::put(&mapping("api.example.com", "m1", "", "$default")),
            Change::put(&mapping("api.example.com", "m2", "orders", "prod")),
            Change::put(&mapping("*.example.com", "m3", "v1/orders", "prod")),
        ];
        world.commit(&changes);
        world
    }

    fn commit(&mut self, changes: &[Change]) {
        self.state.apply(self.state.revision + 1, changes).unwrap();
    }

    fn compile(&self, previous: &Snapshot) -> Snapshot {
        Snapshot::compile(&self.state, previous, &self.blobs, &self.keyring, &self.defaults, 0)
    }

    fn certificate(&self, id: &str) -> Certificate {
        let arn = format!("arn:aws:acm:us-east-1:123456789012:certificate/{id}");
        Certificate {
            private_key: self.keyring.seal(&arn, b"KEY").unwrap(),
            arn,
            region: "us-east-1".into(),
            domain_name: "api.example.com".into(),
            alternative_names: Vec::new(),
            certificate: "PEM\n".into(),
            chain: None,
            origin: CertificateOrigin::Imported,
            key_algorithm: "EC_prime256v1".into(),
            created: 0,
            life: Default::default(),
            tags: BTreeMap::new(),
        }
    }
}

fn api() -> Api {
    Api {
        id: "a1".into(),
        region: "us-east-1".into(),
        name: "a".into(),
        description: None,
        version: None,
        disable_execute_api_endpoint: false,
        cors: None,
        created: 0,
        tags: BTreeMap::new(),
        web_socket: None,
        import_info: Vec::new(),
        import_warnings: Vec::new(),
    }
}

fn deployment(disabled: bool) -> Deployment {
    let integration = |id: &str, uri: &str| Integration {
        id: id.into(),
        api_id: "a1".into(),
        kind: IntegrationKind::HttpProxy,
        method: Some("ANY".into()),
        uri: uri.into(),
        vpc_link_id: None,
        timeout_ms: 30_000,
        payload_format_version: "1.0".into(),
        request_parameters: BTreeMap::new(),
        response_parameters: BTreeMap::new(),
        server_name_to_verify: None,
        description: None,
        api_gateway_managed: false,
    };
    let route = |id: &str, key: &str, integration: &str| Route {
        id: id.into(),
        api_id: "a1".into(),
        route_key: key.into(),
        integration_id: Some(integration.into()),
        operation_name: None,
        authorization: Default::default(),
        api_gateway_managed: false,
    };
    Deployment {
        id: "d1".into(),
        api_id: "a1".into(),
        description: None,
        created: 0,
        auto_deployed: false,
        disable_execute_api_endpoint: disabled,
        cors: None,
        routes: vec![route("r1", "GET /x/{id}", "good"), route("r2", "$default", "bad")],
        authorizers: Vec::new(),
        integrations: vec![integration("good", "http://b:9/{id}"), integration("bad", "gopher://b")],
        resources: Vec::new(),
        rest_authorizers: Vec::new(),
        gateway_responses: Vec::new(),
        binary_media_types: Vec::new(),
        models: Vec::new(),
        request_validators: Vec::new(),
    }
}

fn stage(name: &str) -> Stage {
    Stage {
        api_id: "a1".into(),
        name: name.into(),
        description: None,
        deployment_id: Some("d1".into()),
        auto_deploy: false,
        access_log: None,
        variables: BTreeMap::new(),
        default_route_settings: Default::default(),
        route_settings: BTreeMap::new(),
        created: 0,
        updated: 0,
        client_certificate_id: None,
        authorizers_flushed: 0,
        documentation_version: None,
        last_deployment_status_message: None,
        api_gateway_managed: false,
        tags: BTreeMap::new(),
    }
}

fn domain(name: &str, truststore: Option<&str>) -> Domain {
    Domain {
        name: name.into(),
        region: "us-east-1".into(),
        certificate_arn: "arn:aws:acm:us-east-1:123456789012:certificate/server".into(),
        security_policy: Default::default(),
        endpoint_access_mode: None,
        endpoint_type: "REGIONAL".into(),
        ownership_certificate_arn: None,
        hosted_zone_id: "Z".into(),
        target_id: "d-1".into(),
        mutual_tls: truststore.map(|digest| NamedObject {
            uri: "s3://b/ca.pem".into(),
            version: None,
            read_version: "v1".into(),
            digest: digest.into(),
            read: 0,
            warnings: Vec::new(),
            lists: BTreeMap::new(),
            newest: None,
        }),
        history: Vec::new(),
        shadow: None,
        crls: Vec::new(),
        routing_mode: "API_MAPPING_ONLY".into(),
        revision: 1,
        created: 0,
        tags: BTreeMap::new(),
    }
}

fn mapping(domain: &str, id: &str, key: &str, stage: &str) -> ApiMapping {
    ApiMapping { id: id.into(), domain: domain.into(), key: key.into(), api_id: "a1".into(), stage: stage.into() }
}

fn truststore() -> Blob {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    Blob::of(params.self_signed(&key).unwrap().pem().into_bytes())
}

#[test]
fn names_lead_to_domains_and_paths_to_stages() {
    let snapshot = World::new().compile(&Snapshot::default());
    let name = |host: &str| snapshot.domain(host).map(|domain| domain.name.as_str());
    assert_eq!(name("api.example.com"), Some("api.example.com"));
    assert_eq!(name("x.example.com"), Some("*.example.com"));
    assert_eq!(name("a1.execute-api.us-east-1.localhost"), Some("a1.execute-api.us-east-1.localhost"));
    for stranger in ["example.com", "x.y.example.com", "localhost", ""] {
        assert_eq!(name(stranger), None, "{stranger}");
    }

    let find = |host: &str, path: &str| {
        let found = snapshot.domain(host).unwrap().paths.find(path, &HeaderMap::new());
        found.map(|found| (found.stage.name.clone(), found.base_path.to_owned(), found.rest.to_owned()))
    };
    let is = |stage: &str, base: &str, rest: &str| Some((stage.into(), base.into(), rest.into()));
    assert_eq!(find("api.example.com", "/orders/1"), is("prod", "orders", "/1"));
    assert_eq!(find("api.example.com", "/ordersandmore"), is("$default", "", "/ordersandmore"), "whole segments");
    assert_eq!(find("x.example.com", "/v1/ordersandmore"), is("prod", "v1/orders", "andmore"), "multi level: prefixes");
    assert_eq!(find("x.example.com", "/v1"), None);
    assert_eq!(find("a1.execute-api.us-east-1.localhost", "/prod/x"), is("prod", "prod", "/x"));
    assert_eq!(find("a1.execute-api.us-east-1.localhost", "/production"), is("$default", "", "/production"));
}

/// `conditions`: base path, or header and glob.
fn rule(id: &str, priority: u32, conditions: &[(&str, &str)], strip_base_path: bool, stage: &str) -> RoutingRule {
    let condition = |(name, glob): &(&str, &str)| match *name {
        "path" => RuleCondition::BasePaths(vec![(*glob).into()]),
        name => RuleCondition::Headers(vec![HeaderMatch { header: name.into(), value_glob: (*glob).into() }]),
    };
    RoutingRule {
        id: id.into(),
        domain: "api.example.com".into(),
        priority,
        conditions: conditions.iter().map(condition).collect(),
        api_id: "a1".into(),
        stage: stage.into(),
        strip_base_path,
    }
}

/// Rules are asked by priority, all their conditions have to hold, and the mode says whether mappings follow.
#[test]
fn rules_lead_by_header_and_base_path() {
    let mut world = World::new();
    let rules = [
        rule("late", 900_000, &[("x-any", "*")], false, "prod"),
        rule("both", 2, &[("path", "users"), ("X-Version", "b*")], true, "prod"),
        rule("kept", 3, &[("path", "users")], false, "$default"),
        rule("two", 10, &[("x-a", "1"), ("x-b", "2")], false, "prod"),
        rule("nowhere", 1, &[], false, "gone"),
    ];
    world.commit(&rules.iter().map(Change::put).collect::<Vec<_>>());
    let find = |snapshot: &Snapshot, path: &str, headers: &[(&'static str, &str)]| {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let found = snapshot.domain("api.example.com").unwrap().paths.find(path, &headers)?;
        Some(format!("{} {} '{}' {}", found.rule.map_or("-", |id| id), found.stage.name, found.base_path, found.rest))
    };
    let unasked = world.compile(&Snapshot::default());
    assert_eq!(find(&unasked, "/users/1", &[("x-any", "")]).as_deref(), Some("- $default '' /users/1"));
    let mode = |mode: &str| Change::put(&Domain { routing_mode: mode.into(), ..domain("api.example.com", None) });
    world.commit(&[mode("ROUTING_RULE_THEN_API_MAPPING")]);
    let then_mappings = world.compile(&unasked);
    world.commit(&[mode("ROUTING_RULE_ONLY")]);
    let only = world.compile(&then_mappings);
    for (path, headers, wanted, mapped) in [
        ("/users/1", &[("x-version", "beta")][..], Some("both prod 'users' /1"), None),
        ("/users/1", &[("x-version", "alpha")], Some("kept $default 'users' /users/1"), None),
        ("/users/1", &[("x-version", "alpha"), ("x-version", "beta")], Some("both prod 'users' /1"), None),
        ("/x", &[("x-a", "1")], None, Some("- $default '' /x")),
        ("/x", &[("x-a", "1"), ("x-b", "2"), ("x-any", "")], Some("two prod '' /x"), None),
        ("/orders/1", &[("x-any", "")], Some("late prod '' /orders/1"), None),
        ("/orders/1", &[], None, Some("- prod 'orders' /1")),
    ] {
        assert_eq!(find(&only, path, headers).as_deref(), wanted, "{path} {headers:?}");
        assert_eq!(find(&then_mappings, path, headers).as_deref(), wanted.or(mapped), "{path} {headers:?}");
    }
    let same = |a: &Snapshot, b: &Snapshot| {
        Arc::ptr_eq(a.domain("api.example.com").unwrap(), b.domain("api.example.com").unwrap())
    };
    assert!(same(&only, &world.compile(&only)));
    world.commit(&[Change::put(&rule("two", 11, &[], false, "prod"))]);
    let changed = world.compile(&only);
    assert!(!same(&only, &changed));
    assert!(Arc::ptr_eq(only.domain("x.example.com").unwrap(), changed.domain("x.example.com").unwrap()));
}

#[test]
fn a_route_with_a_bad_target_is_a_fault_and_its_neighbours_serve() {
    let world = World::new();
    let snapshot = world.compile(&Snapshot::default());
    let domain = snapshot.domain("api.example.com").unwrap();
    let Found { stage, rest, .. } = domain.paths.find("/orders/x/7", &HeaderMap::new()).unwrap();
    let router = stage.router.as_ref().unwrap();
    let found = router.find("GET", rest).unwrap();
    assert_eq!((found.route.key.as_ref(), found.route.backend.is_some()), ("GET /x/{id}", true));
    let default = router.find("PUT", rest).unwrap().route;
    assert!(default.is_default && default.backend.is_none());
    let is_told = |snapshot: &Snapshot| snapshot.faults.iter().any(|fault| fault.name == "a1/prod integration bad");
    assert!(is_told(&snapshot), "{:?}", snapshot.faults);
    assert!(is_told(&world.compile(&snapshot)), "as long as it is there");
}

#[test]
fn what_did_not_change_is_the_same_object() {
    let mut world = World::new();
    let first = world.compile(&Snapshot::default());
    world.commit(&[Change::put(&domain("api.example.com", None))]);
    let second = world.compile(&first);
    let same = |host: &str| Arc::ptr_eq(first.domain(host).unwrap(), second.domain(host).unwrap());
    assert!(!same("api.example.com"));
    assert!(same("x.example.com"));
    assert!(same("a1.execute-api.us-east-1.localhost"));
    let certificate = |snapshot: &Snapshot| snapshot.domain("api.example.com").unwrap().certificate.clone();
    assert!(Arc::ptr_eq(&certificate(&first), &certificate(&second)), "tickets outlive a change of trust");
}

#[test]
fn a_deployment_moves_every_domain_that_serves_it() {
    let mut world = World::new();
    let by_rule = RoutingRule { domain: "rules.test".into(), ..rule("r1", 1, &[], false, "prod") };
    world.commit(&[Change::put(&asking_rules(domain("rules.test", None))), Change::put(&by_rule)]);
    let first = world.compile(&Snapshot::default());
    world.commit(&[Change::put(&deployment(true))]);
    let second = world.compile(&first);
    for host in ["api.example.com", "x.example.com", "rules.test", "a1.execute-api.us-east-1.localhost"] {
        assert!(!Arc::ptr_eq(first.domain(host).unwrap(), second.domain(host).unwrap()), "{host}");
    }
    let endpoint = second.domain("a1.execute-api.us-east-1.localhost").unwrap();
    assert!(endpoint.paths.find("/prod", &HeaderMap::new()).unwrap().stage.endpoint_disabled);
    let trust = |snapshot: &Snapshot| snapshot.domain("api.example.com").unwrap().trust.clone().unwrap();
    assert!(Arc::ptr_eq(&trust(&first), &trust(&second)), "judgements outlive a deployment");
}

#[test]
fn another_default_reaches_the_domains_that_do_not_say() {
    let mut world = World::new();
    let first = world.compile(&Snapshot::default());
    world.defaults.rejection = Rejection::Alert;
    let second = world.compile(&first);
    let domain = |snapshot: &Snapshot| snapshot.domain("api.example.com").unwrap().clone();
    assert_eq!(domain(&second).trust.as_ref().unwrap().rejection, Rejection::Alert);
    assert!(Arc::ptr_eq(&domain(&first).certificate, &domain(&second).certificate));
}

#[test]
fn a_newer_version_of_the_truststore_is_at_hand_for_explanations() {
    let mut world = World::new();
    let mut drifted = domain("api.example.com", Some("one"));
    let newest = NewerVersion { version: "v2".into(), digest: Some("two".into()), seen: 0 };
    drifted.mutual_tls.as_mut().unwrap().newest = Some(newest);
    world.commit(&[Change::put(&drifted)]);
    let snapshot = world.compile(&Snapshot::default());
    let trust = snapshot.domain("api.example.com").unwrap().trust.clone().unwrap();
    assert_eq!(trust.version, "v1");
    assert_eq!(trust.newer.as_ref().map(|(version, _)| version.as_str()), Some("v2"));
    assert_eq!(Vec::from_iter(Snapshot::missing(&world.state, &Snapshot::default())), ["one", "two"]);
    assert!(Snapshot::missing(&world.state, &snapshot).is_empty());
}

#[test]
fn a_broken_domain_is_a_fault_and_the_others_serve() {
    let mut world = World::new();
    let mut unsealable = world.certificate("other");
    unsealable.private_key = world.keyring.seal("another resource", b"KEY").unwrap();
    let mut broken = domain("broken.test", None);
    broken.certificate_arn = unsealable.arn.clone();
    let mut missing = domain("missing.test", Some("nowhere"));
    missing.revision = 2;
    world.commit(&[Change::put(&unsealable), Change::put(&broken), Change::put(&missing)]);
    let snapshot = world.compile(&Snapshot::default());
    assert!(snapshot.domain("api.example.com").is_some());
    for name in ["broken.test", "missing.test"] {
        assert!(snapshot.domain(name).is_none());
        assert!(snapshot.faults.iter().any(|fault| fault.name == name), "{name}: {:?}", snapshot.faults);
    }
}

#[test]
fn a_shadow_truststore_that_is_missing_is_a_fault_and_its_domain_serves() {
    let mut world = World::new();
    let mut shadowed = domain("api.example.com", Some("one"));
    let mut shadow = shadowed.mutual_tls.clone().unwrap();
    shadow.digest = "two".into();
    shadowed.shadow = Some(shadow);
    world.commit(&[Change::put(&shadowed)]);
    let first = world.compile(&Snapshot::default());
    let trust = first.domain("api.example.com").unwrap().trust.clone().unwrap();
    assert_eq!(trust.shadow.as_ref().map(|shadow| shadow.uri.as_str()), Some("s3://b/ca.pem"));
    world.blobs.remove("two");
    let second = world.compile(&Snapshot::default());
    assert!(second.domain("api.example.com").unwrap().trust.as_ref().unwrap().shadow.is_none());
    assert!(second.faults.iter().any(|fault| fault.name == "the shadow truststore of api.example.com"));
    assert!(world.compile(&first).domain("api.example.com").unwrap().trust.as_ref().unwrap().shadow.is_some());
}

#[test]
fn what_was_fetched_since_is_a_reason_to_judge_again_and_nothing_else() {
    let mut world = World::new();
    let fetching = |name: &str, value: &str| Domain {
        tags: BTreeMap::from([("countersign:revocation-fetch".into(), value.into())]),
        ..domain(name, Some("one"))
    };
    world.commit(&[Change::put(&fetching("api.example.com", "ocsp")), Change::put(&fetching("*.example.com", "none"))]);
    let before = world.compile(&Snapshot::default());
    let reviewed = before.reviewed();
    let same = |name: &str| {
        let (old, new) = (before.domain(name).unwrap(), reviewed.domain(name).unwrap());
        let trust = Arc::ptr_eq(old.trust.as_ref().unwrap(), new.trust.as_ref().unwrap());
        (trust, Arc::ptr_eq(&old.certificate, &new.certificate))
    };
    assert_eq!(same("api.example.com"), (false, true));
    assert_eq!(same("x.example.com"), (true, true));
    assert_eq!(reviewed.revision, before.revision);
    let next = world.compile(&reviewed);
    assert!(Arc::ptr_eq(next.domain("api.example.com").unwrap(), reviewed.domain("api.example.com").unwrap()));
}

#[test]
fn without_its_revocation_list_a_domain_is_not_served() {
    let mut world = World::new();
    let mut listed = domain("api.example.com", Some("one"));
    listed.tags.insert("countersign:crl".into(), "s3://b/a.crl".into());
    listed.crls.push(NamedObject {
        uri: "s3://b/a.crl".into(),
        digest: "gone".into(),
        ..listed.mutual_tls.clone().unwrap()
    });
    world.commit(&[Change::put(&listed)]);
    assert!(Snapshot::missing(&world.state, &Snapshot::default()).contains("gone"));
    let snapshot = world.compile(&Snapshot::default());
    assert!(snapshot.domain("api.example.com").is_none(), "nor under *.example.com, which may trust others");
    assert!(snapshot.domain("x.example.com").is_some());
    assert!(
        snapshot
            .faults
            .iter()
            .any(|fault| fault.name == "api.example.com" && fault.what.contains("revocation list gone"))
    );
}

/// What can be told of a snapshot from outside: what each name leads to, with all that it was compiled from, keys and faults.
fn told(snapshot: &Snapshot) -> (Vec<String>, Vec<String>) {
    let names = ["api.example.com", "x.example.com", "new.test", &endpoint("a1"), &endpoint("a2"), &endpoint("r1")];
    let domains = names.map(|name| format!("{name}: {:?}", snapshot.domain(name)));
    let mut all: Vec<String> = snapshot.domains().map(|domain| domain.name.clone()).collect();
    all.extend(domains);
    all.extend(
        ["k1", "k2"]
            .map(|id| format!("{:?}", snapshot.access_key(id).map(|(key, _)| (key.id.clone(), key.secret.clone())))),
    );
    all.sort();
    (all, snapshot.faults.iter().map(|fault| format!("{fault:?}")).collect())
}

fn endpoint(api_id: &str) -> String {
    format!("{api_id}.execute-api.us-east-1.localhost")
}

/// One commit out of many: of what, which of them, and how.
fn some_commit(world: &World, what: u8, which: bool, how: u8) -> Change {
    let endpoint = endpoint("a1");
    let name = match how {
        0..4 => "api.example.com",
        4..6 => "*.example.com",
        6 => "new.test",
        _ => &endpoint,
    };
    let (id, key) = if which { ("a1", "") } else { ("a2", "orders") };
    let of_stages = if how == 7 { "r1" } else { id };
    let put_or_delete = |put: Change| if how.is_multiple_of(3) { Change { value: None, ..put } } else { put };
    let sealed_for = |resource: &str| if which { resource.to_owned() } else { "another resource".to_owned() };
    put_or_delete(match what {
        0 => return Change::put(&asking_rules(domain(name, Some(if which { "one" } else { "two" })))),
        1 => return Change::put(&domain(name, which.then_some("nowhere"))),
        2 => return Change::put(&asking_rules(some_tagged_domain(name, which, how))),
        3 => Change::put(&domain(name, None)),
        4 => Change::put(&Api { id: id.into(), tags: api_tags(world, how), ..api() }),
        5 => {
            let stage = stage(if how < 5 || how == 7 { "prod" } else { "$default" });
            Change::put(&Stage { api_id: of_stages.into(), ..stage })
        }
        6 => Change::put(&some_deployment(of_stages, which, how)),
        7 => Change::put(&ApiMapping { api_id: of_stages.into(), ..mapping(name, id, key, "prod") }),
        8 => {
            let rule = rule(id, how.into(), &[("path", "users")], which, "prod");
            Change::put(&RoutingRule { api_id: of_stages.into(), domain: name.into(), ..rule })
        }
        9 => {
            let certificate = world.certificate("server");
            let private_key = world.keyring.seal(&sealed_for(&certificate.arn), b"KEY").unwrap();
            Change::put(&Certificate { private_key, ..certificate })
        }
        10 => Change::put(&rest_api(api_tags(world, how))),
        11 => {
            let id = if how < 4 { "k1" } else { "k2" };
            Change::put(&AccessKey {
                id: id.into(),
                secret: world.keyring.seal(&sealed_for(&AccessKey::sealed_for(id)), b"SECRET").unwrap(),
                principal_arn: "arn:aws:iam::123456789012:root".into(),
                user_id: "123456789012".into(),
                created: how.into(),
                user: None,
                inactive: false,
            })
        }
        12 => Change::put(&some_policy(of_stages, which, how)),
        13 => Change::put(&some_link(if which { "l1" } else { "l2" }, how)),
        _ => Change::put(&Endpoint {
            region: "us-east-1".into(),
            certificate: format!("PEM {how}"),
            private_key: world.keyring.seal(&sealed_for("endpoints/us-east-1"), b"KEY").unwrap(),
        }),
    })
}

/// Of which some lead nowhere.
fn some_link(id: &str, how: u8) -> VpcLink {
    let upstream = |at: &str| BTreeMap::from([("countersign:upstream".to_owned(), at.to_owned())]);
    VpcLink {
        id: id.into(),
        region: "us-east-1".into(),
        name: "link".into(),
        subnet_ids: vec!["subnet-1".into()],
        security_group_ids: Vec::new(),
        created: 0,
        tags: match how {
            0..2 => BTreeMap::new(),
            2 => upstream("nonsense"),
            other => upstream(&format!("http://10.0.0.{other}:8080")),
        },
    }
}

/// Of which some are none, and some are not there.
fn some_policy(api_id: &str, which: bool, how: u8) -> ApiPolicy {
    let digest = match how {
        0..3 => "nowhere",
        3..5 => "unreadable",
        _ if which => "permits",
        _ => "forbids",
    };
    let object = NamedObject { digest: digest.into(), ..domain("", Some("one")).mutual_tls.unwrap() };
    ApiPolicy { api_id: api_id.into(), object }
}

/// Of which some cannot be read.
fn api_tags(world: &World, how: u8) -> BTreeMap<String, String> {
    let (name, value) = match how {
        0..3 => ("bound-tokens", ["required", "off", "nonsense"][usize::from(how)].to_owned()),
        3 => ("policy", "s3://b/p.cedar".to_owned()),
        4 => ("upstream-protocol", "h2c".to_owned()),
        5..7 => ("upstream-certificate", world.certificate("server").arn),
        _ => return BTreeMap::new(),
    };
    BTreeMap::from([(format!("countersign:{name}"), value)])
}

/// One whose tags ask for something, or something that cannot be, and whose shadow truststore or revocation list may not be there.
fn some_tagged_domain(name: &str, which: bool, how: u8) -> Domain {
    let mut some = domain(name, Some("one"));
    let named = |digest: &str| NamedObject { digest: digest.into(), ..some.mutual_tls.clone().unwrap() };
    let tag = |name: &str, value: &str| BTreeMap::from([(format!("countersign:{name}"), value.into())]);
    match how % 4 {
        0 => some.shadow = Some(named(if which { "two" } else { "nowhere" })),
        1 => (some.tags, some.crls) = (tag("crl", "s3://b/a.crl"), vec![named("nowhere")]),
        2 => some.tags = if which { tag("client-rate", "5") } else { tag("bound-tokens", "required") },
        _ => some.tags = tag("eku", if which { "any" } else { "nonsense" }),
    }
    some
}

fn asking_rules(domain: Domain) -> Domain {
    Domain { routing_mode: "ROUTING_RULE_THEN_API_MAPPING".into(), ..domain }
}

/// Of either kind of API, whose routes may ask for signatures, or for an authorizer that cannot be used.
fn some_deployment(api_id: &str, which: bool, how: u8) -> Deployment {
    let mut some = Deployment { api_id: api_id.into(), ..deployment(how > 4) };
    match how {
        1 => some.routes[0].authorization = Authorization::AwsIam,
        3 => some.integrations[0].vpc_link_id = Some(if which { "l1" } else { "l2" }.into()),
        2 => some.routes[0].authorization = Authorization::Custom { authorizer_id: "none".into() },
        7 => some.resources = vec![resource(which)],
        _ => {}
    }
    some
}

fn rest_api(tags: BTreeMap<String, String>) -> RestApi {
    RestApi {
        id: "r1".into(),
        region: "us-east-1".into(),
        name: "r".into(),
        description: None,
        version: None,
        disable_execute_api_endpoint: false,
        root_resource_id: "root".into(),
        created: 0,
        binary_media_types: Vec::new(),
        tags,
    }
}

/// `/x` of the REST API, with one method, which leads somewhere or not.
fn resource(leads: bool) -> RestResource {
    let integration = RestIntegration {
        method: Some("ANY".into()),
        uri: Some(if leads { "http://b:9/" } else { "gopher://b" }.into()),
        timeout_ms: 29_000,
        ..RestIntegration::default()
    };
    let method = RestMethod { integration: Some(integration), ..RestMethod::default() };
    RestResource {
        id: "x".into(),
        api_id: "r1".into(),
        parent_id: Some("root".into()),
        path_part: Some("x".into()),
        path: "/x".into(),
        methods: BTreeMap::from([("ANY".into(), method)]),
    }
}

proptest! {
    #[test]
    fn after_any_commits_a_snapshot_is_what_it_would_be_without_the_one_before(
        commits in proptest::collection::vec((0..15_u8, any::<bool>(), 0..8_u8, 0..12_u8), 1..16),
    ) {
        let mut world = World::new();
        world.commit(&[Change::put(&asking_rules(domain("api.example.com", Some("one"))))]);
        let mut snapshot = world.compile(&Snapshot::default());
        for (what, which, how, rare) in commits {
            let change = some_commit(&world, what, which, how);
            world.commit(std::slice::from_ref(&change));
            if rare == 0 {
                world.defaults.rejection = if which { Rejection::Alert } else { Rejection::Respond };
            }
            snapshot = world.compile(&snapshot);
            prop_assert!(told(&snapshot) == told(&world.compile(&Snapshot::default())), "after {}", change.key.as_str());
            let missing = Snapshot::missing(&world.state, &snapshot);
            let is_served = |name: &str| snapshot.faults.iter().all(|fault| fault.name != name);
            let all_served = world.state.domains.keys().all(is_served);
            prop_assert!(!all_served || missing.iter().all(|digest| ["nowhere", "unreadable"].contains(digest)), "served without {missing:?}");
        }
    }
}

#[test]
fn policies_that_cannot_be_had_permit_nothing() {
    let mut world = World::new();
    let before = world.compile(&Snapshot::default());
    let stage = |snapshot: &Snapshot| {
        let endpoint = snapshot.domain(&endpoint("a1")).unwrap();
        endpoint.paths.find("/prod", &HeaderMap::new()).unwrap().stage.clone()
    };
    assert!(stage(&before).policy.is_none());
    let policies = |snapshot: &Snapshot| stage(snapshot).policy.as_ref().unwrap().policies.clone();
    let put = |world: &mut World, digest: &str| {
        let object = NamedObject { digest: digest.into(), ..domain("", Some("one")).mutual_tls.unwrap() };
        world.commit(&[Change::put(&ApiPolicy { api_id: "a1".into(), object })]);
    };
    put(&mut world, "permits");
    assert_eq!(Vec::from_iter(Snapshot::missing(&world.state, &before)), ["permits"]);
    let good = world.compile(&before);
    assert!(policies(&good).is_some());
    put(&mut world, "gone");
    let gone = world.compile(&good);
    let is_told = |snapshot: &Snapshot| snapshot.faults.iter().any(|fault| fault.name == "the policies of API a1");
    assert!(policies(&gone).is_none() && is_told(&gone));
    world.blobs.insert("gone".into(), Blob::of(*b"permit(principal, action, resource);"));
    assert!(Snapshot::missing(&world.state, &gone).contains("gone"));
    let back = world.compile(&gone);
    assert!(policies(&back).is_some() && !is_told(&back));
    put(&mut world, "unreadable");
    assert!(policies(&world.compile(&back)).is_none());
    // The tag alone, though nothing was read for it.
    let tags = BTreeMap::from([("countersign:policy".into(), "s3://b/p.cedar".into())]);
    let tagged = Api { tags, ..api() };
    let object = domain("", Some("one")).mutual_tls.unwrap();
    world.commit(&[Change::put(&tagged), Change::delete(&ApiPolicy { api_id: "a1".into(), object })]);
    assert!(policies(&world.compile(&back)).is_none());
}

#[test]
fn what_nothing_names_any_more_is_forgotten() {
    let mut world = World::new();
    let name = |world: &mut World, domain_name, truststore| {
        world.commit(&[Change::put(&domain(domain_name, Some(truststore)))])
    };
    name(&mut world, "new.test", "two");
    let first = world.compile(&Snapshot::default());
    name(&mut world, "new.test", "one");
    let second = world.compile(&first);
    name(&mut world, "api.example.com", "two");
    assert_eq!(Vec::from_iter(Snapshot::missing(&world.state, &second)), ["two"], "nothing named it");
    let third = world.compile(&second);
    name(&mut world, "api.example.com", "one");
    assert!(Snapshot::missing(&world.state, &third).is_empty(), "another domain still names it");
}
