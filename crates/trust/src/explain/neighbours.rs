//! Refused here, but known elsewhere: a newer or older truststore of the domain, or another domain's.

use super::{Case, Explanation, Neighbour, NeighbourKind};
use crate::{Certificate, Code, Unrevoked};

impl Case<'_> {
    /// Another truststore that would accept the chain, or at least has its issuer.
    pub(super) fn in_neighbour(&self, leaf: &Certificate) -> Option<Explanation> {
        let depends_on_truststore = match self.refusal.code {
            Code::ClientCertMissing
            | Code::ClientCertInvalid
            | Code::ClientCertExpired
            | Code::ClientCertNotYetValid
            | Code::ClientCertMaxSizeExceeded
            | Code::ClientCertTypeUnsupported
            // Revoked is revoked, whatever the truststore.
            | Code::ClientCertCrlHit
            | Code::ClientCertCrlProcessingError => false,
            Code::ClientCertUntrusted
            | Code::ClientCertSignatureInvalid
            | Code::ClientCertSelfSigned
            | Code::ClientCertChainIncomplete
            | Code::ClientCertIssuerExpired
            | Code::ClientCertWeakSignature
            | Code::ClientCertWeakKey
            | Code::ClientCertPurposeInvalid
            | Code::ClientCertMaxChainDepthExceeded
            | Code::ClientCertPathInvalid
            | Code::ClientCertPathTooComplex => true,
        };
        if !depends_on_truststore {
            return None;
        }
        let enforced = self.truststore.digest();
        let mut nearest: Vec<&Neighbour<'_>> =
            self.around.neighbours.iter().filter(|other| other.truststore.digest() != enforced).collect();
        nearest.sort_by_key(|neighbour| neighbour.kind);
        let judge = |other: &Neighbour<'_>| other.truststore.judge(self.chain, self.policy, &Unrevoked, self.at);
        if let Some(found) = nearest.iter().find(|other| judge(other).is_accepted()) {
            return Some(self.accepted_by(found, leaf));
        }
        let orphan = self.orphan(leaf)?;
        let found = nearest.into_iter().find(|other| self.has_issuer(other, &orphan))?;
        let code = judge(found).refusal().map(|refusal| refusal.code)?;
        let explanation = format!(
            "The issuer \"{}\" is in {}, but the certificate would be refused there too ({code}).",
            orphan.issuer(),
            found.place()
        );
        let fix = format!("{} That alone will not let the client in: {}", found.fix(), code.fix());
        Some(Explanation::new(explanation, &fix).with("issuer_wanted", orphan.issuer()).with("found_in", found.name))
    }

    fn accepted_by(&self, neighbour: &Neighbour<'_>, leaf: &Certificate) -> Explanation {
        let wanted = self.orphan(leaf);
        let is_listed = neighbour.truststore.inner().listed(leaf.der()).is_some();
        let explanation = match &wanted {
            _ if is_listed => neighbour.sentence("The certificate itself"),
            Some(orphan) => neighbour.sentence(&format!("The issuer \"{}\"", orphan.issuer())),
            None => format!("{} It would be accepted by {}.", super::sentence(&self.refusal.detail), neighbour.place()),
        };
        let explanation = Explanation::new(explanation, neighbour.fix());
        let explanation = match wanted {
            Some(orphan) if !is_listed => explanation.with("issuer_wanted", orphan.issuer()),
            _ => explanation,
        };
        explanation.with("found_in", neighbour.name)
    }

    /// Whether a neighbour has the CA whose key signed `child`.
    fn has_issuer(&self, neighbour: &Neighbour<'_>, child: &Certificate) -> bool {
        let inner = neighbour.truststore.inner();
        let mut named = inner.named(child.issuer_der()).iter().take(super::MAX_NAMED);
        named.any(|&place| self.is_signed_by(child, &inner.entry(place).certificate))
    }

    /// The certificate whose issuer is missing, if that is the trouble.
    fn orphan(&self, leaf: &Certificate) -> Option<Certificate> {
        match self.refusal.code {
            Code::ClientCertUntrusted | Code::ClientCertSignatureInvalid => Certificate::from_der(leaf.der()).ok(),
            Code::ClientCertChainIncomplete => Certificate::from_der(self.end_of_path(leaf)?.der()).ok(),
            _ => None,
        }
    }
}

impl Neighbour<'_> {
    /// As the end of a sentence.
    fn place(&self) -> String {
        let name = self.name;
        match self.kind {
            NeighbourKind::EnforcedNow => format!("the truststore that is enforced by now: {name}"),
            NeighbourKind::NewerVersion => format!("a newer version of the truststore's object: {name}"),
            NeighbourKind::OlderVersion => format!("an earlier truststore of the domain: {name}"),
            NeighbourKind::OtherDomain => name.to_owned(),
        }
    }

    fn sentence(&self, what: &str) -> String {
        let place = self.place();
        match self.kind {
            NeighbourKind::EnforcedNow | NeighbourKind::NewerVersion => format!("{what} is in {place}."),
            NeighbourKind::OlderVersion => format!("{what} was in {place}."),
            NeighbourKind::OtherDomain => {
                format!("{what} is trusted by {place}, but not by the truststore that is enforced.")
            }
        }
    }

    fn fix(&self) -> &'static str {
        match self.kind {
            NeighbourKind::EnforcedNow => "The truststore was changed since; have the client try again.",
            NeighbourKind::NewerVersion => {
                "Update the domain's TruststoreVersion to that version; a new version of the object does nothing until \
                 then."
            }
            NeighbourKind::OlderVersion => {
                "If it was taken out by mistake, go back to that truststore, or add it again and update the domain; if \
                 not, the client needs a certificate of an authority that is trusted now."
            }
            NeighbourKind::OtherDomain => {
                "Send the client to where it is trusted; or add the issuer, and every authority above it up to the \
                 root, to this domain's truststore and update the domain."
            }
        }
    }
}
