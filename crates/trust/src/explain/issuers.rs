//! Whose signature is missing.

use std::sync::Arc;

use super::{Case, Explanation, MAX_NAMED, colons, shown};
use crate::{Certificate, Code, Profile, constraints};

impl Case<'_> {
    /// No CA has the issuer's name.
    pub(super) fn unknown_issuer(&self, leaf: &Certificate) -> Explanation {
        if let Some(explanation) = self.name_in_another_encoding(leaf).or_else(|| self.key_of_another_name(leaf)) {
            return explanation;
        }
        let wanted = leaf.issuer();
        let path = self.sent_path(leaf);
        if let Some(top) = path.last() {
            return self.sent_but_not_listed(leaf, &path, top);
        }
        if self.policy.profile == Profile::Rfc5280 && self.chain.len() == 1 {
            let explanation = format!(
                "The client sent only its own certificate, and its issuer \"{wanted}\" is not in the truststore."
            );
            let fix = "Have the client send its intermediates after its certificate, or add them to the truststore.";
            return wanting(explanation, fix, leaf);
        }
        let explanation = format!("No authority in the truststore is named \"{wanted}\".");
        wanting(explanation, Code::ClientCertUntrusted.fix(), leaf)
    }

    fn name_in_another_encoding(&self, leaf: &Certificate) -> Option<Explanation> {
        let wanted = leaf.issuer();
        // Most authorities are told apart by the first characters, without reading their names again.
        let is_same = |ca: &&Arc<Certificate>| {
            wanted.len() <= MAX_COMPARED
                && folded(ca.subject()).eq(folded(wanted))
                && constraints::same_name(content(ca.subject_der()), content(leaf.issuer_der()))
        };
        let ca = self.truststore.certificates().find(is_same)?;
        let explanation = format!(
            "The truststore has \"{}\", which is the issuer's name in another encoding (string types, letter case or \
             blanks); names are compared byte for byte.",
            ca.subject()
        );
        let fix = "Have the certificate issued by the authority as it is named in the truststore, or add the \
                   authority's certificate under the name that the certificate gives.";
        Some(wanting(explanation, fix, leaf).with("truststore_issuer_sha256", &ca.fingerprint_hex()))
    }

    /// An authority that changed its name and kept its key.
    fn key_of_another_name(&self, leaf: &Certificate) -> Option<Explanation> {
        let id = leaf.authority_key_id()?;
        let mut with_id = self.truststore.certificates().filter(|ca| ca.subject_key_id() == Some(id)).take(MAX_NAMED);
        let ca = with_id.find(|ca| self.is_signed_by(leaf, ca))?;
        let explanation = format!(
            "The key that signed the certificate is in the truststore, but as that of \"{}\"; the certificate calls \
             its issuer \"{}\".",
            ca.subject(),
            leaf.issuer()
        );
        let fix = "Add the authority's certificate under the name that the certificate gives, with every authority \
                   above it up to the root, and update the domain.";
        Some(wanting(explanation, fix, leaf).with("truststore_issuer_sha256", &ca.fingerprint_hex()))
    }

    /// The issuer came with the certificate; `top` is where what came ends.
    fn sent_but_not_listed(&self, leaf: &Certificate, path: &[Certificate], top: &Certificate) -> Explanation {
        let wanted = leaf.issuer();
        let is_root = top.is_self_issued();
        let above = self.listed_issuer(top).filter(|_| !is_root);
        let (explanation, fix) = match (self.policy.profile, above) {
            (Profile::Aws, Some(above)) => (
                format!(
                    "The issuer \"{wanted}\" was sent by the client, but the path is built from the truststore alone, \
                     which has \"{}\" above it but not itself.",
                    above.subject()
                ),
                "Add what the client sends besides its own certificate to the truststore, and update the domain; or set \
                 the tag countersign:profile=rfc5280, which uses what clients send.",
            ),
            (Profile::Aws, None) => (
                format!(
                    "The issuer \"{wanted}\" was sent by the client, but the path is built from the truststore alone, \
                     and it is not there."
                ),
                "Add the intermediate that the client sends to the truststore, with every authority above it up to the \
                 root, and update the domain.",
            ),
            (Profile::Rfc5280, _) if is_root => (
                format!("The path that the client sent ends at \"{}\", which is not in the truststore.", top.subject()),
                Code::ClientCertUntrusted.fix(),
            ),
            (Profile::Rfc5280, _) => (
                format!(
                    "The issuer \"{wanted}\" was sent by the client, but the way on from it to the truststore is \
                     missing: \"{}\".",
                    top.issuer()
                ),
                Code::ClientCertUntrusted.fix(),
            ),
        };
        let lowest = path.first().unwrap_or(top);
        wanting(explanation, fix, leaf).with("issuer_sent_sha256", &lowest.fingerprint_hex())
    }

    /// The name is there, its key is another.
    pub(super) fn other_key(&self, leaf: &Certificate) -> Option<Explanation> {
        let named: Vec<&Arc<Certificate>> = self.named(leaf.issuer_der()).collect();
        let first = named.first()?;
        let which = match named.len() {
            1 => "an authority".to_owned(),
            count => format!("{count} authorities"),
        };
        let key_id = match leaf.authority_key_id() {
            Some(id) if named.iter().all(|ca| ca.subject_key_id().is_some_and(|known| known != id)) => {
                format!(" (key identifier {})", colons(id))
            }
            _ => String::new(),
        };
        let explanation = format!(
            "The truststore has {which} named \"{}\", but the certificate was signed by another key{key_id}.",
            first.subject()
        );
        let mut explanation = Explanation::new(explanation, Code::ClientCertSignatureInvalid.fix())
            .with("issuer_wanted", leaf.issuer())
            .with_key_id("issuer_key_id_wanted", leaf.authority_key_id());
        if let Some(sent) = self.sent_issuer(leaf) {
            explanation = explanation.with("issuer_sent_sha256", &sent.fingerprint_hex());
        }
        for ca in named.iter().take(MAX_NAMED) {
            explanation = explanation
                .with("truststore_issuer_sha256", &ca.fingerprint_hex())
                .with_key_id("truststore_issuer_key_id", ca.subject_key_id());
        }
        Some(explanation.with_urls(leaf))
    }

    pub(super) fn self_signed(&self, leaf: &Certificate) -> Explanation {
        let twin = self.named(leaf.subject_der()).next();
        let explanation = match twin {
            Some(twin) if twin.public_key_der() == leaf.public_key_der() => format!(
                "The certificate {} is self-signed, and the truststore has another certificate with its name and key, \
                 so it was probably renewed; a listed certificate is accepted only byte for byte.",
                shown(leaf)
            ),
            Some(_) => format!(
                "The certificate {} is self-signed; the truststore has a certificate with its name, but with another \
                 key.",
                shown(leaf)
            ),
            None => format!("The certificate {} is self-signed and not in the truststore.", shown(leaf)),
        };
        let explanation =
            Explanation::new(explanation, Code::ClientCertSelfSigned.fix()).with("sha256", &leaf.fingerprint_hex());
        match twin {
            Some(twin) => explanation.with("truststore_sha256", &twin.fingerprint_hex()),
            None => explanation,
        }
    }

    /// The path ends below a root.
    pub(super) fn incomplete(&self, leaf: &Certificate) -> Option<Explanation> {
        let end = self.end_of_path(leaf)?;
        let was_sent = self.truststore.inner().listed(end.der()).is_none();
        let missing = match (self.named(end.issuer_der()).any(|ca| *ca != end), was_sent) {
            (true, _) => "is there by name only: the authority of that name in the truststore did not sign it",
            (false, true) => "neither came with it nor is in the truststore",
            (false, false) => "is not in the truststore, which must hold every authority up to the self-signed root",
        };
        let explanation = format!(
            "The path ends at the intermediate \"{}\"{}: its issuer \"{}\" {missing}.",
            end.subject(),
            if was_sent { ", which the client sent" } else { "" },
            end.issuer()
        );
        let fix = match was_sent {
            true => {
                "Have the client send the missing authority too, or add it to the truststore and update the domain."
            }
            false => Code::ClientCertChainIncomplete.fix(),
        };
        let explanation = Explanation::new(explanation, fix)
            .with("certificate", end.subject())
            .with("issuer_wanted", end.issuer())
            .with_key_id("issuer_key_id_wanted", end.authority_key_id());
        let explanation = match self.sent_issuer(&end) {
            Some(sent) => explanation.with("issuer_sent_sha256", &sent.fingerprint_hex()),
            None => explanation,
        };
        Some(explanation.with_urls(&end))
    }

    /// The CA at which the climb ended that the refusal tells of: of the truststore, or the last that the client sent.
    pub(super) fn end_of_path(&self, leaf: &Certificate) -> Option<Arc<Certificate>> {
        let inner = self.truststore.inner();
        let reported = self.evidence("certificate")?;
        let listed = inner.named(leaf.issuer_der()).iter().map(|&place| Arc::clone(&inner.dead_end(place).certificate));
        let sent = self.sent_path(leaf).pop().map(Arc::new);
        listed.chain(sent).find(|end| end.subject() == reported)
    }

    pub(super) fn too_complex(&self, leaf: &Certificate) -> Explanation {
        let listed = self.named(leaf.issuer_der()).count();
        let sent = self.chain.len().saturating_sub(1);
        let explanation = format!(
            "The search for a path took too many steps: {listed} authorities in the truststore have the issuer's name \
             \"{}\", and the client sent {sent} certificates besides its own.",
            leaf.issuer()
        );
        Explanation::new(explanation, Code::ClientCertPathTooComplex.fix()).with("issuer_wanted", leaf.issuer())
    }
}

/// Octets of a name that is compared with those of all the truststore's authorities.
const MAX_COMPARED: usize = 512;

fn wanting(explanation: String, fix: &str, child: &Certificate) -> Explanation {
    Explanation::new(explanation, fix)
        .with("issuer_wanted", child.issuer())
        .with_urls(child)
        .with_key_id("issuer_key_id_wanted", child.authority_key_id())
}

/// Without blanks and letter case.
fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase)
}

fn content(name: &[u8]) -> &[u8] {
    crate::der::Reader::new(name).any().map_or(&[], |name| name.value)
}
