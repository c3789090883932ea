//! What a security policy means: versions, cipher suites and groups. Domains with the same one share them.

use std::sync::{Arc, LazyLock};

use model::SecurityPolicy;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

/// Of each policy, in the order of [`SecurityPolicy::ALL`].
static PROVIDERS: LazyLock<[Arc<CryptoProvider>; SecurityPolicy::ALL.len()]> = LazyLock::new(|| {
    SecurityPolicy::ALL.map(|policy| {
        Arc::new(CryptoProvider {
            cipher_suites: cipher_suites(policy),
            kx_groups: groups(policy),
            ..default_provider()
        })
    })
});

/// Its cipher suites and groups, the preferred ones first.
pub(super) fn provider(policy: SecurityPolicy) -> &'static Arc<CryptoProvider> {
    &PROVIDERS[SecurityPolicy::ALL.iter().position(|one| *one == policy).expect("ALL has every policy")]
}

/// Its versions of TLS.
pub(super) fn versions(policy: SecurityPolicy) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
    if policy.speaks_tls12() { &BOTH } else { &BOTH[..1] }
}

/// AES-128-GCM before AES-256-GCM: it is measurably cheaper and no known attack tells them apart. AWS's policies have no ChaCha20 in
/// TLS 1.2; `TLS_1_2` has it here, for clients without hardware for AES.
fn cipher_suites(policy: SecurityPolicy) -> Vec<SupportedCipherSuite> {
    let mut suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256, cipher_suite::TLS13_AES_256_GCM_SHA384];
    if !policy.is_fips() {
        suites.push(cipher_suite::TLS13_CHACHA20_POLY1305_SHA256);
    }
    if policy.speaks_tls12() {
        suites.extend([
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ]);
    }
    if !policy.is_enhanced() {
        suites.extend([
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ]);
    }
    suites
}

/// A hybrid key exchange where the client offers one.
fn groups(policy: SecurityPolicy) -> Vec<&'static dyn SupportedKxGroup> {
    let (pq, fips) = (policy.is_post_quantum(), policy.is_fips());
    let all = [
        (kx_group::X25519MLKEM768, pq && !fips),
        (kx_group::SECP256R1MLKEM768, pq),
        (kx_group::X25519, !fips),
        (kx_group::SECP256R1, true),
        (kx_group::SECP384R1, true),
    ];
    all.into_iter().filter(|(_, offered)| *offered).map(|(group, _)| group).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{
        AlertDescription, ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig, ServerConnection,
    };

    use super::*;

    /// Of each policy: versions, cipher suites and groups, written down from AWS's names and table.
    fn table(policy: SecurityPolicy) -> [Vec<String>; 3] {
        let (tls13, gcm) = ("AES_128_GCM_SHA256 AES_256_GCM_SHA384", "AES_128_GCM_SHA256 AES_256_GCM_SHA384");
        let chacha20 = "CHACHA20_POLY1305_SHA256";
        let classical = "X25519 secp256r1 secp384r1";
        let hybrid = "X25519MLKEM768 secp256r1MLKEM768";
        let fips = "secp256r1 secp384r1";
        let (tls13, tls12, groups): (&[&str], &[&str], &[&str]) = match policy.as_str() {
            "TLS_1_2" => (&[tls13, chacha20], &[gcm, chacha20], &[classical, hybrid]),
            "SecurityPolicy_TLS13_1_2_2021_06" => (&[tls13, chacha20], &[gcm], &[classical]),
            "SecurityPolicy_TLS13_1_2_PQ_2025_09" => (&[tls13, chacha20], &[gcm], &[classical, hybrid]),
            "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09" => (&[tls13, chacha20], &[gcm], &[classical, hybrid]),
            "SecurityPolicy_TLS13_1_2_FIPS_PQ_2025_09" => (&[tls13], &[gcm], &[fips, "secp256r1MLKEM768"]),
            "SecurityPolicy_TLS13_1_2_FIPS_PFS_PQ_2025_09" => (&[tls13], &[gcm], &[fips, "secp256r1MLKEM768"]),
            "SecurityPolicy_TLS13_1_3_2025_09" => (&[tls13, chacha20], &[], &[classical]),
            "SecurityPolicy_TLS13_1_3_FIPS_2025_09" => (&[tls13], &[], &[fips]),
            other => panic!("{other}"),
        };
        let words = |lines: &[&str]| lines.join(" ").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let named =
            |kind: &str, lines| words(lines).into_iter().map(|name| format!("{kind}{name}")).collect::<Vec<_>>();
        let versions = if tls12.is_empty() { vec!["TLSv1_3"] } else { vec!["TLSv1_2", "TLSv1_3"] };
        let suites =
            [named("TLS13_", tls13), named("TLS_ECDHE_ECDSA_WITH_", tls12), named("TLS_ECDHE_RSA_WITH_", tls12)];
        [words(&versions), suites.concat(), words(groups)]
    }

    #[test]
    fn a_handshake_comes_about_with_what_a_policy_has_and_with_nothing_else() {
        let identities = [identity(&PKCS_ECDSA_P256_SHA256), identity(&PKCS_RSA_SHA256)];
        let groups = [
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
            kx_group::X25519MLKEM768,
            kx_group::SECP256R1MLKEM768,
        ];
        for policy in SecurityPolicy::ALL {
            let has = table(policy);
            for suite in rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES {
                for group in groups {
                    let version = format!("{:?}", suite.version().version);
                    let offered = [version.clone(), format!("{:?}", suite.suite()), format!("{:?}", group.name())];
                    // A hybrid key exchange is one of TLS 1.3.
                    if version == "TLSv1_2" && offered[2].contains("MLKEM") {
                        continue;
                    }
                    let wanted = offered.iter().zip(&has).all(|(offered, has)| has.contains(offered));
                    let (chain, key) = &identities[usize::from(offered[1].contains("RSA"))];
                    let met = handshake(policy, chain, key, *suite, group);
                    assert_eq!(met.is_ok(), wanted, "{policy:?} {offered:?}: {met:?}");
                    if !has[0].contains(&version) {
                        assert_eq!(met, Err(AlertDescription::ProtocolVersion), "{policy:?} {offered:?}");
                    }
                }
            }
        }
    }

    fn identity(algorithm: &'static rcgen::SignatureAlgorithm) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = CertificateParams::new(vec!["api.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    /// Of a client that offers this and nothing else: the alert that it gets, if any.
    fn handshake(
        policy: SecurityPolicy,
        chain: &CertificateDer<'static>,
        key: &PrivateKeyDer<'static>,
        suite: SupportedCipherSuite,
        group: &'static dyn SupportedKxGroup,
    ) -> Result<(), AlertDescription> {
        let server = ServerConfig::builder_with_provider(provider(policy).clone());
        let server = server.with_protocol_versions(versions(policy)).unwrap().with_no_client_auth();
        let server = server.with_single_cert(vec![chain.clone()], key.clone_key()).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(chain.clone()).unwrap();
        let offered = CryptoProvider { cipher_suites: vec![suite], kx_groups: vec![group], ..default_provider() };
        let client = ClientConfig::builder_with_provider(Arc::new(offered));
        let client = client.with_protocol_versions(&[suite.version()]).unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from("api.test").unwrap()).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut flight = Vec::new();
            client.write_tls(&mut flight).unwrap();
            server.read_tls(&mut &flight[..]).unwrap();
            // Where it fails, its alert is the client's to read.
            let _ = server.process_new_packets();
            flight.clear();
            while server.wants_write() {
                server.write_tls(&mut flight).unwrap();
            }
            client.read_tls(&mut &flight[..]).unwrap();
            match client.process_new_packets() {
                Ok(_) => {}
                Err(Error::AlertReceived(alert)) => return Err(alert),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(client.negotiated_cipher_suite(), Some(suite));
        assert_eq!(client.negotiated_key_exchange_group().map(|group| group.name()), Some(group.name()));
        Ok(())
    }
}
