//! x509-limbo (C2SP), a published suite of path validation cases, judged by the profile rfc5280.
//!
//! The suite is not part of this project: LIMBO_JSON names the file (`limbo.json` of
//! <https://github.com/C2SP/x509-limbo>). Without it the test only says so, except in CI, where that is a failure.

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use trust::{Policy, Profile, Purpose, Truststore, Unrevoked};

/// bettertls (Netflix): 9,572 cases of path building and name constraints, in limbo's form. BETTERTLS_JSON names the
/// unpacked file. It takes a while and is for nightly runs, so its absence is never a failure.
#[test]
fn bettertls() {
    let Ok(path) = std::env::var("BETTERTLS_JSON") else {
        eprintln!("skipped: set BETTERTLS_JSON to bettertls.json");
        return;
    };
    let suite: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut wrong = Vec::new();
    for case in suite["testcases"].as_array().unwrap() {
        let outcome = run(case);
        let accepted = outcome == "accepted" && is_peer(case);
        if accepted != (case["expected_result"] == "SUCCESS") {
            wrong.push(format!("{}: {outcome}", case["id"]));
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {:#?}", wrong.len(), &wrong[..wrong.len().min(40)]);
}

/// Comparing the peer's name is not the judge's business, but most of these cases are about it, so webpki does it.
fn is_peer(case: &Value) -> bool {
    let chain = ders(case["peer_certificate"].as_str().unwrap());
    let der = rustls_pki_types::CertificateDer::from(chain[0].as_slice());
    let name = case["expected_peer_name"]["value"].as_str().unwrap();
    let name = rustls_pki_types::ServerName::try_from(name).unwrap();
    webpki::EndEntityCert::try_from(&der).is_ok_and(|leaf| leaf.verify_is_valid_for_subject_name(&name).is_ok())
}

#[test]
fn limbo() {
    let Ok(path) = std::env::var("LIMBO_JSON") else {
        assert!(std::env::var_os("CI").is_none(), "LIMBO_JSON is not set");
        eprintln!("skipped: set LIMBO_JSON to x509-limbo's limbo.json");
        return;
    };
    let suite: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut deviations = BTreeSet::new();
    let mut count = 0;
    for case in suite["testcases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let outcome = run(case);
        if (outcome == "accepted") != (case["expected_result"] == "SUCCESS") {
            println!("{id}: {outcome}");
            assert_ne!(case["validation_kind"], "CLIENT", "every client case must be right: {id}");
            deviations.insert(id);
        }
        count += 1;
    }
    assert!(count >= 208, "only {count} cases");
    let known: BTreeSet<&str> = PEER_NAME.iter().chain(DEVIATIONS).copied().collect();
    let fresh: Vec<_> = deviations.difference(&known).collect();
    let gone: Vec<_> = known.difference(&deviations).collect();
    assert!(fresh.is_empty() && gone.is_empty(), "new deviations: {fresh:?}; no longer deviations: {gone:?}");
}

/// Decided by comparing the peer's name with the one that was wanted, which is not the judge's business.
const PEER_NAME: &[&str] = &[
    "webpki::cn::case-mismatch",
    "webpki::cn::ipv4-hex-mismatch",
    "webpki::cn::ipv4-leading-zeros-mismatch",
    "webpki::cn::ipv6-non-rfc5952-mismatch",
    "webpki::cn::ipv6-uncompressed-mismatch",
    "webpki::cn::ipv6-uppercase-mismatch",
    "webpki::cn::not-in-san",
    "webpki::cn::punycode-not-in-san",
    "webpki::cn::utf8-vs-punycode-mismatch",
    "webpki::san::mismatch-apex-subdomain-san",
    "webpki::san::mismatch-domain-san",
    "webpki::san::mismatch-subdomain-apex-san",
    "webpki::san::mismatch-subdomain-san",
    "webpki::san::no-san",
    "webpki::san::public-suffix-multi-label-wildcard-san",
    "webpki::san::public-suffix-private-namespace-wildcard-san",
    "webpki::san::public-suffix-wildcard-san",
    "webpki::san::wildcard-match-across-labels-san",
];

/// The rest, with the reasons.
const DEVIATIONS: &[&str] = &[
    // Revocation lists are an input that a `Revocation` brings; none reads them here.
    "crl::crlnumber-critical",
    "crl::crlnumber-missing",
    "crl::issuer-missing-crlsign",
    "crl::revoked-certificate-with-crl",
    // A CA is no client and no server: webpki has to accept the leaf as well, and does not accept these.
    "pathlen::validation-ignores-pathlen-in-leaf",
    "rfc5280::ca-as-leaf",
    // An anchor may lack the authority key identifier: what issued it plays no part. (cve::cve-2024-0567 is such an
    // anchor in a chain that is to be accepted.)
    "rfc5280::aki::cross-signed-root-missing-aki",
    // The suite itself wants the opposite in rfc5280::nc::permitted-dns-match-noncritical.
    "webpki::nc::permitted-dns-match-noncritical",
    // Rules of the CA/Browser Forum for servers of the public web, which clients' certificates need not keep.
    "webpki::aki::root-with-aki-all-fields",
    "webpki::aki::root-with-aki-authoritycertissuer",
    "webpki::aki::root-with-aki-authoritycertserialnumber",
    "webpki::eku::ee-anyeku",
    "webpki::eku::ee-critical-eku",
    "webpki::eku::ee-without-eku",
    "webpki::eku::root-has-eku",
    "webpki::forbidden-rsa-key-not-divisible-by-8-in-leaf",
    "webpki::forbidden-rsa-not-divisible-by-8-in-root",
    "webpki::san::san-critical-with-nonempty-subject",
];

/// The refusal's code, or `accepted`.
fn run(case: &Value) -> String {
    let pems = |value: &Value| -> String {
        value.as_array().unwrap().iter().map(|pem| pem.as_str().unwrap()).collect::<Vec<_>>().join("\n")
    };
    let at = match case["validation_time"].as_str() {
        Some(text) => {
            let format = &time::format_description::well_known::Rfc3339;
            time::OffsetDateTime::parse(text, format).unwrap().unix_timestamp()
        }
        None => support::soon(),
    };
    let (truststore, _) = match Truststore::compile(pems(&case["trusted_certs"]).as_bytes(), at) {
        Ok(compiled) => compiled,
        Err(error) => return error.to_string(),
    };
    let mut chain = ders(case["peer_certificate"].as_str().unwrap());
    chain.extend(ders(&pems(&case["untrusted_intermediates"])));
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let purpose = if case["validation_kind"] == "CLIENT" { Purpose::Client } else { Purpose::Server };
    // The suite counts intermediates; the policy counts the root as well.
    let mut policy = Policy { purpose, ..Policy::of(Profile::Rfc5280) };
    if let Some(depth) = case["max_chain_depth"].as_u64() {
        policy.max_depth = u8::try_from(depth.saturating_add(1)).unwrap_or(u8::MAX);
    }
    support::outcome(&truststore.judge(&chain, &policy, &Unrevoked, at))
}

/// The certificates of some PEM.
fn ders(pem: &str) -> Vec<Vec<u8>> {
    pem.split("-----BEGIN CERTIFICATE-----")
        .skip(1)
        .map(|block| {
            let body = block.split("-----END").next().unwrap();
            let base64: String = body.split_whitespace().collect();
            data_encoding::BASE64.decode(base64.as_bytes()).unwrap()
        })
        .collect()
}
