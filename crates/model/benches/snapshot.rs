//! What a commit costs by how many domains there are, each with its own truststore: a state of it, and its snapshot.
//!
//! `cargo bench -p model --bench snapshot`

use std::collections::BTreeMap;

use divan::Bencher;
use model::resource::{ApiMapping, Certificate, CertificateOrigin, Domain, NamedObject};
use model::snapshot::Defaults;
use model::{Blob, Blobs, Change, Keyring, Rejection, Snapshot, State};

const DOMAINS: [usize; 3] = [1, 1_000, 10_000];
const ARN: &str = "arn:aws:acm:us-east-1:123456789012:certificate/server";

fn main() {
    divan::main();
}

struct World {
    state: State,
    blobs: Blobs,
    keyring: Keyring,
    defaults: Defaults,
    /// Of one more truststore.
    another: String,
}

impl World {
    fn new(domains: usize) -> Self {
        let keyring = Keyring::new(&[1; 32]).expect("32 bytes");
        let mut changes = vec![Change::put(&certificate(&keyring))];
        let mut blobs = Blobs::new();
        let mut truststore = || {
            let blob = truststore();
            let digest = blob.digest().to_owned();
            blobs.insert(digest.clone(), blob);
            digest
        };
        for number in 0..domains {
            let name = format!("d{number}.example.com");
            changes.push(Change::put(&domain(&name, &truststore())));
            let mapping = ApiMapping {
                id: "m".into(),
                domain: name,
                key: String::new(),
                api_id: "a".into(),
                stage: "$default".into(),
            };
            changes.push(Change::put(&mapping));
        }
        let another = truststore();
        let mut state = State::default();
        state.apply(1, &changes).expect("changes");
        let defaults = Defaults { execute_api_suffix: "localhost".into(), rejection: Rejection::Respond };
        Self { state, blobs, keyring, defaults, another }
    }

    fn compile(&self, state: &State, previous: &Snapshot) -> Snapshot {
        Snapshot::compile(state, previous, &self.blobs, &self.keyring, &self.defaults, 0)
    }

    /// One domain has another truststore.
    fn update(&self) -> [Change; 1] {
        [Change::put(&domain("d0.example.com", &self.another))]
    }
}

fn truststore() -> Blob {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    Blob::of(params.self_signed(&key).expect("a certificate").pem().into_bytes())
}

fn certificate(keyring: &Keyring) -> Certificate {
    Certificate {
        private_key: keyring.seal(ARN, b"KEY").expect("a key that seals"),
        arn: ARN.into(),
        region: "us-east-1".into(),
        domain_name: "*.example.com".into(),
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

fn domain(name: &str, digest: &str) -> Domain {
    Domain {
        name: name.into(),
        region: "us-east-1".into(),
        certificate_arn: ARN.into(),
        security_policy: Default::default(),
        endpoint_access_mode: None,
        endpoint_type: "REGIONAL".into(),
        ownership_certificate_arn: None,
        hosted_zone_id: "Z".into(),
        target_id: "d-1".into(),
        mutual_tls: Some(NamedObject {
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

#[divan::bench(args = DOMAINS, sample_count = 20)]
fn state_of_a_commit(bencher: Bencher, domains: usize) {
    let world = World::new(domains);
    let update = world.update();
    bencher.with_inputs(|| world.state.clone()).bench_refs(|state| state.apply(2, &update));
}

#[divan::bench(args = DOMAINS, sample_count = 20)]
fn snapshot_of_a_commit(bencher: Bencher, domains: usize) {
    let world = World::new(domains);
    let before = world.compile(&world.state, &Snapshot::default());
    let mut after = world.state.clone();
    after.apply(2, &world.update()).expect("a change");
    bencher.bench(|| {
        let missing = Snapshot::missing(&after, &before).len();
        (missing, world.compile(&after, &before))
    });
}

#[divan::bench(args = DOMAINS, sample_count = 5)]
fn snapshot_from_nothing(bencher: Bencher, domains: usize) {
    let world = World::new(domains);
    bencher.bench(|| world.compile(&world.state, &Snapshot::default()));
}
