//! What holds for every certificate, chain and truststore.

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use rcgen::{BasicConstraints, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, UnixTime};
use support::{Authority, NOW, OpenSsl, bundle, ca_params, judge, leaf_params, new_key, outcome, pem_of, truststore};
use trust::{Certificate, Policy, Profile, Truststore, Unrevoked, public_key};
use x509_cert::der::{Decode, Encode};

/// A client of an intermediate, with most of the extensions that there are.
struct Example {
    root: Authority,
    sub: Authority,
    leaf: Vec<u8>,
}

static EXAMPLE: LazyLock<Example> = LazyLock::new(|| {
    let root = Authority::root("Root");
    let mut constrained = ca_params("Sub");
    constrained.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    constrained.name_constraints = Some(rcgen::NameConstraints {
        permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example.com".to_owned())],
        excluded_subtrees: vec![rcgen::GeneralSubtree::Rfc822Name("bad.example.com".to_owned())],
    });
    let sub = root.sub_of(constrained);
    let mut params = leaf_params("client");
    params.subject_alt_names = vec![
        rcgen::SanType::DnsName("a.example.com".try_into().unwrap()),
        rcgen::SanType::Rfc822Name("a@example.com".try_into().unwrap()),
        rcgen::SanType::URI("spiffe://example.com/x".try_into().unwrap()),
        rcgen::SanType::IpAddress([10, 0, 0, 1].into()),
    ];
    let leaf = sub.leaf_of(params);
    Example { root, sub, leaf }
});

fn mutated(der: &[u8], changes: &[(Index, u8)]) -> Vec<u8> {
    let mut der = der.to_vec();
    for (index, octet) in changes {
        let at = index.index(der.len());
        der[at] ^= octet;
    }
    der
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = public_key(&bytes);
        prop_assert!(Certificate::from_der(&bytes).is_err());
        let _ = Truststore::compile(&bytes, NOW);
    }

    #[test]
    fn a_changed_certificate_is_parsed_consistently_and_never_accepted(
        changes in prop::collection::vec((any::<Index>(), 1_u8..), 1..4),
        cut in any::<Index>(),
    ) {
        let Example { root, sub, leaf } = &*EXAMPLE;
        let store = truststore(&bundle(&[root, sub]));
        prop_assert_eq!(outcome(&judge(&store, &[leaf], NOW)), "accepted");
        for der in [mutated(leaf, &changes), leaf[..cut.index(leaf.len())].to_vec()] {
            let ours = Certificate::from_der(&der);
            if let Ok(ours) = &ours {
                prop_assert_eq!(public_key(&der), Some(ours.public_key_der()));
                prop_assert_eq!(&Certificate::from_der(ours.der()).unwrap(), ours);
                ours.client_cert();
            }
            if let (Ok(ours), Ok(theirs)) = (&ours, x509_cert::Certificate::from_der(&der)) {
                let theirs = theirs.tbs_certificate();
                prop_assert_eq!(ours.subject_der(), theirs.subject().to_der().unwrap());
                prop_assert_eq!(ours.issuer_der(), theirs.issuer().to_der().unwrap());
                prop_assert_eq!(ours.public_key_der(), theirs.subject_public_key_info().to_der().unwrap());
            }
            if der != *leaf {
                for profile in [Profile::Aws, Profile::Rfc5280] {
                    let policy = Policy { profile, ..Policy::default() };
                    prop_assert!(!store.judge(&[&der, sub.der()], &policy, &Unrevoked, NOW).is_accepted());
                }
            }
        }
    }

    #[test]
    fn a_changed_authority_accepts_nobody(changes in prop::collection::vec((any::<Index>(), 1_u8..), 1..4)) {
        let Example { root, sub, leaf } = &*EXAMPLE;
        let changed = mutated(sub.der(), &changes);
        prop_assume!(changed != sub.der());
        let strict = Policy { profile: Profile::Rfc5280, ..Policy::default() };
        let sent = truststore(&root.pem()).judge(&[leaf, &changed], &strict, &Unrevoked, NOW);
        prop_assert!(!sent.is_accepted());
        if Certificate::from_der(&changed).is_ok() {
            let store = truststore(&format!("{}{}", root.pem(), pem_of(&changed)));
            prop_assert!(!judge(&store, &[leaf], NOW).is_accepted());
        }
    }
}

/// Authorities over few names and keys, so that cross-certificates, loops, namesakes and roots come about by chance,
/// each with its own path length and validity; and the clients of each.
#[derive(Clone, Debug)]
struct Plan {
    authorities: Vec<Planned>,
    /// Name and key of the client's issuer.
    client: (usize, usize),
}

#[derive(Clone, Debug)]
struct Planned {
    name: usize,
    key: usize,
    issuer_name: usize,
    issuer_key: usize,
    is_ca: bool,
    path_len: Option<u8>,
    not_after: i32,
}

const NAMES: usize = 4;
static KEYS: LazyLock<Vec<KeyPair>> = LazyLock::new(|| (0..5).map(|_| new_key()).collect());

fn plan() -> impl Strategy<Value = Plan> {
    let keys = 0..5_usize;
    let self_signed = prop::bool::weighted(0.3);
    let is_ca = prop::bool::weighted(0.9);
    let path_len = prop::option::weighted(0.2, 0..3_u8);
    let not_after = prop_oneof![1 => Just(2025), 3 => Just(2030), 6 => Just(2040)];
    let planned = ((0..NAMES, keys.clone(), 0..NAMES, keys.clone()), self_signed, is_ca, path_len, not_after).prop_map(
        |((name, key, issuer_name, issuer_key), self_signed, is_ca, path_len, not_after)| {
            let (issuer_name, issuer_key) = if self_signed { (name, key) } else { (issuer_name, issuer_key) };
            Planned { name, key, issuer_name, issuer_key, is_ca, path_len, not_after }
        },
    );
    (prop::collection::vec(planned, 1..12), any::<Index>(), (0..NAMES, keys), prop::bool::weighted(0.9)).prop_map(
        |(authorities, index, stranger, of_authority)| {
            let issuer = &authorities[index.index(authorities.len())];
            let client = if of_authority { (issuer.name, issuer.key) } else { stranger };
            Plan { client, authorities }
        },
    )
}

fn issuer(name: usize, key: usize) -> Issuer<'static, &'static KeyPair> {
    Issuer::new(ca_params(&format!("CA {name}")), &KEYS[key])
}

impl Planned {
    fn make(&self) -> rcgen::Certificate {
        let mut params = ca_params(&format!("CA {}", self.name));
        params.is_ca = match (self.is_ca, self.path_len) {
            (false, _) => IsCa::NoCa,
            (true, None) => IsCa::Ca(BasicConstraints::Unconstrained),
            (true, Some(length)) => IsCa::Ca(BasicConstraints::Constrained(length)),
        };
        params.not_after = rcgen::date_time_ymd(self.not_after, 1, 1);
        params.signed_by(&KEYS[self.key], &issuer(self.issuer_name, self.issuer_key)).unwrap()
    }
}

/// webpki's answer with the self-signed authorities as anchors and the others as intermediates.
fn webpki_accepts(authorities: &[rcgen::Certificate], leaf: &[u8]) -> bool {
    let (roots, others): (Vec<_>, Vec<_>) = authorities.iter().partition(|authority| {
        let certificate = Certificate::from_der(authority.der()).unwrap();
        certificate.is_self_issued() && certificate.authority_key_id() == certificate.subject_key_id()
    });
    let anchors: Vec<_> = roots.iter().map(|root| webpki::anchor_from_trusted_cert(root.der()).unwrap()).collect();
    let intermediates: Vec<CertificateDer<'_>> = others.iter().map(|other| other.der().clone()).collect();
    let der = CertificateDer::from(leaf);
    let time = UnixTime::since_unix_epoch(Duration::from_secs(NOW as u64));
    let usage = webpki::KeyUsage::client_auth();
    let leaf = webpki::EndEntityCert::try_from(&der).unwrap();
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &intermediates, time, usage, None, None).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn judgements_of_random_hierarchies(
        plan in plan(),
        kept in subsequence((0..12_usize).collect::<Vec<_>>(), 0..12),
        reversed: bool,
    ) {
        let authorities: Vec<rcgen::Certificate> = plan.authorities.iter().map(Planned::make).collect();
        let leaf = leaf_params("client").signed_by(&new_key(), &issuer(plan.client.0, plan.client.1)).unwrap();
        let leaf: &[u8] = leaf.der();
        let pem = |indices: &mut dyn Iterator<Item = usize>| -> String {
            indices.filter_map(|index| authorities.get(index)).map(rcgen::Certificate::pem).collect()
        };
        let store = truststore(&pem(&mut (0..12)));
        let judgment = judge(&store, &[leaf], NOW);

        // It is the same again, and in another order of the truststore.
        let again = judge(&store, &[leaf], NOW);
        prop_assert_eq!(format!("{:?}", judgment), format!("{again:?}"));
        if reversed {
            let reversed = truststore(&pem(&mut (0..12).rev()));
            prop_assert_eq!(judge(&reversed, &[leaf], NOW).is_accepted(), judgment.is_accepted());
        }

        // It stands until it says, and the path it names is one.
        prop_assert!(judgment.holds_until >= NOW);
        let last = judge(&store, &[leaf], judgment.holds_until);
        prop_assert_eq!(outcome(&last), outcome(&judgment));
        if let Some(path) = judgment.path() {
            let path = &path.0;
            prop_assert!((2..=5).contains(&path.len()));
            for pair in path.windows(2) {
                prop_assert_eq!(pair[0].issuer_der(), pair[1].subject_der());
                prop_assert!(store.certificates().any(|listed| listed == &pair[1]));
            }
            prop_assert!(path[path.len() - 1].is_self_issued());
            prop_assert!(judgment.holds_until <= path.iter().map(|link| link.not_after()).min().unwrap());
            // RFC 5280 section 4.2.1.9 does not count self-issued intermediates in a path length; webpki does.
            let self_issued = path[1..path.len() - 1].iter().any(|link| link.is_self_issued());
            prop_assert!(self_issued || webpki_accepts(&authorities, leaf), "ours accepts and webpki does not");
        } else if webpki_accepts(&authorities, leaf) {
            // Only by the rules that webpki does not have: the anchor's own validity, CA flag and path length, and
            // at most four CAs.
            let code = outcome(&judgment);
            let stricter =
                ["ClientCertIssuerExpired", "ClientCertPathInvalid", "ClientCertMaxChainDepthExceeded"];
            prop_assert!(stricter.contains(&code.as_str()), "{code} where webpki accepts");
        }

        // Who takes authorities away lets nobody in.
        let fewer = pem(&mut kept.into_iter());
        if let Ok((fewer, _)) = Truststore::compile(fewer.as_bytes(), NOW)
            && judge(&fewer, &[leaf], NOW).is_accepted()
        {
            prop_assert!(judgment.is_accepted());
        }

        // With what the client sends, no panic and no acceptance beyond webpki's.
        let strict = Policy { profile: Profile::Rfc5280, ..Policy::default() };
        let mut chain = vec![leaf];
        chain.extend(authorities.iter().map(|authority| &authority.der()[..]));
        let stranger = truststore(&EXAMPLE.root.pem());
        prop_assert!(!stranger.judge(&chain, &strict, &Unrevoked, NOW).is_accepted());
    }
}

/// `openssl verify` with the authorities as its trusted file.
fn openssl_accepts(openssl: &OpenSsl, authorities: &[rcgen::Certificate], leaf: &rcgen::Certificate) -> bool {
    openssl.write("ca.pem", &authorities.iter().map(rcgen::Certificate::pem).collect::<String>());
    openssl.write("leaf.pem", &leaf.pem());
    openssl.succeeds(&format!("verify -CAfile ca.pem -no-CApath -no-CAstore -attime {NOW} -purpose sslclient leaf.pem"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn openssl_accepts_nobody_whom_ours_refuses(mut plan in plan()) {
        // OpenSSL takes for a CA what has keyCertSign and no basic constraints; ours does not.
        for planned in &mut plan.authorities {
            planned.is_ca = true;
        }
        let authorities: Vec<rcgen::Certificate> = plan.authorities.iter().map(Planned::make).collect();
        let leaf = leaf_params("client").signed_by(&new_key(), &issuer(plan.client.0, plan.client.1)).unwrap();
        let pem: String = authorities.iter().map(rcgen::Certificate::pem).collect();
        let ours = outcome(&judge(&truststore(&pem), &[leaf.der()], NOW));
        // The other way round says nothing: OpenSSL does not go back when the first issuer of a name leads nowhere.
        if openssl_accepts(&OpenSsl::new(), &authorities, &leaf) {
            prop_assert!(ours == "accepted" || ours == "ClientCertMaxChainDepthExceeded", "{ours}");
        }
    }
}
