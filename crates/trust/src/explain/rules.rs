//! Rules that a certificate or its path breaks, and revocation.

use std::sync::Arc;

use super::{Case, Explanation, sentence, shown};
use crate::{Certificate, Code, Profile, rules};

/// CAs of a path that are told of.
const MAX_PATH: usize = 16;

impl Case<'_> {
    /// Made for something else.
    pub(super) fn purpose(&self, leaf: &Certificate) -> Explanation {
        let wanted = self.policy.purpose.key_purpose();
        if let Some(authority) = self.blamed_authority() {
            let explanation = match rules::purpose_defect(&authority, self.policy) {
                Some(defect) => {
                    format!("The authority \"{}\" may not issue for {wanted}: {defect}.", authority.subject())
                }
                None => sentence(&self.refusal.detail),
            };
            let fix = format!(
                "Have the certificate issued by an authority whose extended key usage has {wanted}, or that has none; or \
                 set the tag countersign:eku=any."
            );
            return Explanation::new(explanation, &fix);
        }
        if leaf.is_ca() {
            let explanation = format!("The certificate {} is that of an authority, not of a client.", shown(leaf));
            let fix = "Configure the client with the certificate that the authority issued to it, and put that first.";
            return Explanation::new(explanation, fix);
        }
        let usage = leaf.extensions().extended_key_usage.as_ref();
        let purposes = usage.map(|usage| usage.purposes.join(", "));
        let usage_has_wanted = usage.is_some_and(|usage| usage.client_auth);
        let (explanation, fix) = match &purposes {
            // Then it is the key usage.
            Some(_) if usage_has_wanted => (
                sentence(&self.refusal.detail),
                "Have the certificate issued with the key usage digitalSignature.".to_owned(),
            ),
            Some(purposes) => (
                format!(
                    "The certificate {} was issued for another purpose: its extended key usage is {purposes}, without \
                     {wanted}.",
                    shown(leaf)
                ),
                Code::ClientCertPurposeInvalid.fix().to_owned(),
            ),
            None => (
                sentence(&self.refusal.detail),
                format!("Have the certificate issued with the extended key usage {wanted}, or use the profile aws."),
            ),
        };
        Explanation::new(explanation, &fix)
            .with("extended_key_usage", purposes.as_deref().unwrap_or("none"))
            .with("extended_key_usage_wanted", wanted)
    }

    /// More CAs than are allowed.
    pub(super) fn too_deep(&self, leaf: &Certificate) -> Explanation {
        let path = self.path_above(leaf);
        let allowed = usize::from(self.policy.max_depth);
        let depth = self.evidence("depth").and_then(|depth| depth.parse().ok()).unwrap_or(0).max(path.len());
        let names: Vec<String> = path.iter().map(|ca| format!("\"{}\"", ca.subject())).collect();
        let explanation = format!(
            "{depth} authorities stand above the certificate, and {allowed} are allowed: {}.",
            names.join(", ")
        );
        // Whoever stands `allowed` below the end of the path could have issued it.
        let nearest = path.len().checked_sub(allowed).and_then(|index| path.get(index));
        let fix = match nearest.filter(|_| path.len() == depth) {
            Some(nearest) => format!(
                "Have the certificate issued by \"{}\" or an authority above it: at most {allowed} may stand above a \
                 client's certificate.",
                nearest.subject()
            ),
            None => format!("Use a certificate with at most {allowed} authorities above it."),
        };
        Explanation::new(explanation, &fix)
            .with("depth", &depth.to_string())
            .with("depth_allowed", &allowed.to_string())
            .with("authorities", &names.join(", "))
    }

    /// The CAs above a certificate, the shortest way up as far as it is known.
    fn path_above(&self, leaf: &Certificate) -> Vec<Arc<Certificate>> {
        let inner = self.truststore.inner();
        let mut path: Vec<Arc<Certificate>> = Vec::new();
        while path.len() < MAX_PATH {
            let top = path.last().map_or(leaf, AsRef::as_ref);
            let next = match inner.listed(top.der()).map(|place| inner.entry(place)) {
                Some(entry) if entry.self_signed => None,
                Some(entry) => entry.issuers.first().map(|&place| Arc::clone(&inner.entry(place).certificate)),
                None => self.listed_issuer(top).cloned().or_else(|| self.sent_issuer(top).map(Arc::new)),
            };
            match next.filter(|next| !path.contains(next)) {
                Some(next) => path.push(next),
                None => break,
            }
        }
        path
    }

    pub(super) fn weak(&self, leaf: &Certificate) -> Explanation {
        let authority = self.blamed_authority();
        let certificate = authority.as_deref().unwrap_or(leaf);
        let key_defect = rules::key_defect(certificate, self.policy.profile);
        let (defect, name, value) = match self.refusal.code {
            Code::ClientCertWeakKey => (key_defect, "key", certificate.key_name()),
            _ => (rules::signature_defect(certificate), "signature_algorithm", certificate.signature_name()),
        };
        let Some(defect) = defect else { return self.plain() };
        let kind = if authority.is_some() { "authority" } else { "certificate" };
        let explanation = format!("The {kind} {} is not accepted: {defect}.", shown(certificate));
        let mut fix = match (self.refusal.code, authority.is_some()) {
            (Code::ClientCertWeakKey, true) => {
                "Have the certificate issued by an authority with a key of RSA 2048 bits or more, P-256 or P-384."
            }
            (_, true) => "Have the authority's certificate issued again with SHA-256 or stronger, and replace it.",
            (code, false) => code.fix(),
        }
        .to_owned();
        let allowed_elsewhere = self.refusal.code == Code::ClientCertWeakKey
            && self.policy.profile == Profile::Aws
            && rules::key_defect(certificate, Profile::Rfc5280).is_none();
        if allowed_elsewhere {
            fix += " The profile rfc5280 (tag countersign:profile) allows such keys.";
        }
        Explanation::new(explanation, &fix).with("certificate", certificate.subject()).with(name, &value)
    }

    /// A rule of RFC 5280 for paths, or for the form of certificates.
    pub(super) fn broken_rule(&self) -> Option<Explanation> {
        let is_reason = |step: &&crate::Step| !step.held && self.refusal.detail.ends_with(&step.detail);
        let rule = self.trail.iter().rev().find(is_reason)?.check;
        let fix = match rule {
            "name constraints" => {
                "Have the certificate issued with names that the authority may certify, or by an authority without that \
                 constraint."
            }
            "path length" => {
                "Have the certificate issued by an authority nearer to the one that is named, or that one issued again \
                 with a greater path length."
            }
            "CA" => {
                "Replace it in the truststore by the authority's own certificate (basic constraints CA:TRUE, key usage \
                 keyCertSign), and update the domain."
            }
            "extensions" => "Have it issued again without that extension, or with the extension not critical.",
            "RFC 5280" => "Have it issued again as RFC 5280 asks, or use the profile aws, which does not insist.",
            _ => self.refusal.code.fix(),
        };
        let explanation = match rule {
            "CA" => format!("The issuer may not issue certificates: {}.", self.refusal.detail),
            _ => sentence(&self.refusal.detail),
        };
        Some(Explanation::new(explanation, fix).with("rule", rule))
    }

    /// When and why, says the refusal; here, what to do then.
    pub(super) fn revoked(&self, leaf: &Certificate) -> Explanation {
        let explanation = self.plain();
        if self.blamed_authority().is_some() {
            let fix = "Have the certificate issued by an authority that is not revoked.";
            return Explanation { fix: fix.to_owned(), ..explanation };
        }
        let fix = match self.evidence("reason") {
            // Then who has a newer certificate may not be who came.
            Some("keyCompromise" | "cACompromise" | "aACompromise") => {
                "Whoever has the stolen key may be the client: find out who it is before it gets a certificate with a new \
                 key."
            }
            reason => match (self.renewed(leaf), reason) {
                (Some(renewed), _) => return explanation.with_renewed(&renewed, self.at),
                (None, Some("superseded")) => "Install the certificate that replaced it.",
                (None, Some("certificateHold")) => {
                    "It is on hold: ask its authority to release it, or to issue another."
                }
                (None, Some("cessationOfOperation" | "affiliationChanged" | "privilegeWithdrawn")) => {
                    "It was withdrawn on purpose: ask its authority whether this client is still to be let in."
                }
                (None, _) => Code::ClientCertCrlHit.fix(),
            },
        };
        Explanation { fix: fix.to_owned(), ..explanation }
    }
}
