//! What a domain's shadow truststore would do: a client is judged by it beside the enforced one, and nothing follows
//! from it but that a difference is counted, recorded and told.

use std::cell::Cell;
use std::net::SocketAddr;

use model::snapshot::Trust;
use trust::{Code, Revocation, UnixSeconds, Verdict};

use crate::connection::Connection;
use crate::verdicts::can_prove_possession;

/// How long after a client's difference was told it is told again, in seconds.
const TOLD_AGAIN_AFTER: UnixSeconds = 3600;

/// How long after a status was not known it is looked for again, in seconds.
const LOOKED_AGAIN_AFTER: UnixSeconds = 60;

/// The shadow truststore comes to another verdict than the one that is enforced.
#[derive(Debug)]
pub(crate) struct Difference {
    /// Digest of the shadow truststore, hexadecimal.
    pub(crate) truststore: String,
    /// `s3://bucket/key`
    pub(crate) uri: String,
    /// Its version.
    pub(crate) version: String,
    /// Why the shadow would refuse; none: it would accept.
    pub(crate) refusal: Option<(Code, String)>,
    /// When it was told last.
    told: Cell<UnixSeconds>,
}

/// A difference, for the person at the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowLine {
    /// Domain that the client asked for.
    pub domain: String,
    /// The client's address and port.
    pub source: SocketAddr,
    /// Subject of the client's certificate.
    pub subject: String,
    /// The shadow truststore: `s3://bucket/key`.
    pub uri: String,
    /// Its version.
    pub version: String,
    /// Why it would refuse the client, code and sentence; none: it would accept a client that is refused.
    pub refusal: Option<(Code, String)>,
}

/// Judges a client that sent `certificates` (leaf first) by the shadow, too. `accepted` is the enforced verdict; what
/// is revoked is so for both. Answers with the difference, if there is one, and with the last second at which that is
/// sure.
pub(crate) fn compare(
    trust: &Trust,
    certificates: &[&[u8]],
    accepted: bool,
    revocation: &dyn Revocation,
    at: UnixSeconds,
) -> (Option<Difference>, UnixSeconds) {
    let (Some(shadow), Some(leaf)) = (&trust.shadow, certificates.first()) else { return (None, UnixSeconds::MAX) };
    let judgment = shadow.truststore.judge(certificates, &trust.policy, revocation, at);
    let unproven = || Some((Code::ClientCertWeakKey, Code::ClientCertWeakKey.summary().to_owned()));
    let (refusal, holds_until) = match judgment.verdict {
        Verdict::Refused(refusal) => (Some((refusal.code, refusal.detail)), judgment.holds_until),
        _ if !can_prove_possession(leaf) => (unproven(), judgment.holds_until),
        Verdict::Accepted(_) => (None, judgment.holds_until),
        // Its path is good otherwise. Nobody is asked for the sake of a comparison, but somebody may be for another reason.
        Verdict::NeedsStatus(_) => (None, at.saturating_add(LOOKED_AGAIN_AFTER)),
    };
    let differs = refusal.is_none() != accepted;
    let difference = differs.then(|| Difference {
        truststore: shadow.truststore.digest().to_string(),
        uri: shadow.uri.clone(),
        version: shadow.version.clone(),
        refusal,
        told: Cell::new(UnixSeconds::MIN),
    });
    (difference, holds_until)
}

impl Difference {
    /// Whether it is to be told now; then it is not for a while.
    pub(crate) fn is_to_be_told(&self, at: UnixSeconds) -> bool {
        let again = at >= self.told.get().saturating_add(TOLD_AGAIN_AFTER);
        if again {
            self.told.set(at);
        }
        again
    }

    /// For the person at the terminal.
    pub(crate) fn line(&self, connection: &Connection, subject: &str) -> ShadowLine {
        ShadowLine {
            domain: connection.name.clone(),
            source: connection.peer,
            subject: subject.to_owned(),
            uri: self.uri.clone(),
            version: self.version.clone(),
            refusal: self.refusal.clone(),
        }
    }

    /// For the record.
    pub(crate) fn to_record(&self) -> journal::Shadow<'_> {
        journal::Shadow {
            truststore: journal::Truststore {
                digest: self.truststore.as_str().into(),
                version: Some(self.version.as_str().into()),
            },
            refusal: self.refusal.as_ref().map(|(code, _)| *code),
            detail: self.refusal.as_ref().map_or("", |(_, detail)| detail).into(),
        }
    }
}
