//! What the judge says of the client's certificate, and of the server's.

use trust::{
    Certificate, Code, NothingFetched, Policy, Purpose, RevocationRules, Revocations, Surroundings, Truststore,
    Unrevoked,
};

use super::facts::Facts;
use super::files::TruststoreFile;

/// Of a client.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// By the truststore of this name.
    Accepted(String),
    Refused(Refused),
    /// No truststore is known; nothing is wrong with the certificate itself.
    Sound,
}

/// Why not.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) code: Code,
    pub(super) explanation: String,
    pub(super) fix: String,
    /// Name of the truststore; none: the certificate is wrong whatever the truststore is.
    pub(super) by: Option<String>,
}

impl Verdict {
    pub(super) fn reason(&self) -> Option<Code> {
        self.refused().map(|refused| refused.code)
    }

    pub(super) fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Refused(refused) => Some(refused),
            Self::Accepted(_) | Self::Sound => None,
        }
    }
}

impl Facts {
    /// The truststore that the server is meant to enforce: the file's, else the one in force.
    pub(super) fn truststore(&self) -> Option<&TruststoreFile> {
        let in_force = self.settings.as_ref().and_then(|settings| settings.truststore.as_ref());
        self.files.truststore.as_ref().or(in_force)
    }
}

/// None: no certificate was given, or none can be read.
pub(super) fn verdict(facts: &Facts) -> Option<Verdict> {
    let chain = facts.files.client.as_ref()?.chain.as_ref().ok()?;
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let Some((name, truststore)) = facts.truststore().and_then(|file| Some((&file.name, file.compiled.as_ref().ok()?)))
    else {
        return Some(alone(facts, &chain, &facts.policy()));
    };
    Some(by(facts, &chain, name, truststore))
}

/// Whether another truststore would let the client in.
pub(super) fn would_accept(facts: &Facts, file: &TruststoreFile) -> bool {
    let Some(Ok(chain)) = facts.files.client.as_ref().map(|client| client.chain.as_ref()) else { return false };
    let Ok(truststore) = &file.compiled else { return false };
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    matches!(by(facts, &chain, &file.name, truststore), Verdict::Accepted(_))
}

fn by(facts: &Facts, chain: &[&[u8]], name: &str, truststore: &Truststore) -> Verdict {
    let policy = facts.policy();
    let crls = facts.files.crls.clone();
    let judgment = if crls.is_empty() {
        truststore.judge(chain, &policy, &Unrevoked, facts.now)
    } else {
        let revocations = Revocations { rules: RevocationRules::default(), crls };
        truststore.judge(chain, &policy, &revocations.view(&NothingFetched), facts.now)
    };
    let explained = trust::explain(&judgment, chain, truststore, &Surroundings::default(), &policy, facts.now);
    match judgment.refusal() {
        None => Verdict::Accepted(name.to_owned()),
        Some(refusal) => {
            let (explanation, fix) = match explained {
                Some(found) => (found.explanation, found.fix),
                None => (refusal.detail.clone(), refusal.code.fix().to_owned()),
            };
            Verdict::Refused(Refused { code: refusal.code, explanation, fix, by: Some(name.to_owned()) })
        }
    }
}

/// What is wrong with a certificate whoever is trusted: as its own anchor it is judged by nothing but itself.
fn alone(facts: &Facts, chain: &[&[u8]], policy: &Policy) -> Verdict {
    let Some(leaf) = facts.files.client.as_ref().and_then(|client| client.leaf()) else {
        let code = Code::ClientCertInvalid;
        return refused(code, code.summary().to_owned());
    };
    let Ok((truststore, _)) = Truststore::compile(leaf.pem().as_bytes(), facts.now) else { return Verdict::Sound };
    let judgment = truststore.judge(&chain[..1], policy, &Unrevoked, facts.now);
    match judgment.refusal() {
        // A leaf that cannot be an anchor says nothing about the leaf.
        Some(refusal) if is_of_leaf(refusal.code) => refused(refusal.code, refusal.detail.clone()),
        _ => Verdict::Sound,
    }
}

fn refused(code: Code, explanation: String) -> Verdict {
    Verdict::Refused(Refused { code, explanation, fix: code.fix().to_owned(), by: None })
}

fn is_of_leaf(code: Code) -> bool {
    matches!(
        code,
        Code::ClientCertInvalid
            | Code::ClientCertExpired
            | Code::ClientCertNotYetValid
            | Code::ClientCertWeakKey
            | Code::ClientCertWeakSignature
            | Code::ClientCertPurposeInvalid
            | Code::ClientCertTypeUnsupported
            | Code::ClientCertMaxSizeExceeded
    )
}

/// Why the server's chain does not lead to a CA that is trusted; `Ok` too where there is nothing to judge it by.
pub(super) fn server(facts: &Facts) -> Result<(), (Code, String)> {
    let (Some(cas), [leaf, above @ ..]) = (&facts.files.server_cas, &facts.live.server_chain[..]) else {
        return Ok(());
    };
    // The path is built from the truststore alone; what the server sends may be on it, but never begin it.
    let sent = above.iter().filter(|certificate| !certificate.is_self_issued());
    let pem: String = cas.certificates.iter().chain(sent).map(Certificate::pem).collect();
    let Ok((truststore, _)) = Truststore::compile(pem.as_bytes(), facts.now) else { return Ok(()) };
    let policy = Policy { purpose: Purpose::Server, max_depth: 10, ..Policy::default() };
    let judgment = truststore.judge(&[leaf.der()], &policy, &Unrevoked, facts.now);
    match judgment.refusal() {
        None => Ok(()),
        Some(refusal) => Err((refusal.code, refusal.detail.clone())),
    }
}
