//! What was nearly right about a refused chain. Never changes a verdict.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::{
    Certificate, Code, Judgment, Policy, Profile, Refusal, Truststore, UnixSeconds, Unrevoked, constraints, key, time,
};

/// What the explainer may look at besides what was judged. Nothing of it can change a verdict.
#[derive(Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// Other truststores; each costs a judgement, so the caller bounds their number.
    pub neighbours: &'a [Neighbour<'a>],
    /// Who presented themselves to the same domain, where that is known.
    pub seen: Option<&'a dyn ClientsSeen>,
}

/// Another truststore in which the issuer may be found.
#[derive(Clone, Debug)]
pub struct Neighbour<'a> {
    /// For people, e.g. `version 3kL4… of s3://bucket/ca.pem`, `the truststore of api.example.com`.
    pub name: &'a str,
    /// What it is to the enforced one.
    pub kind: NeighbourKind,
    /// The truststore.
    pub truststore: &'a Truststore,
}

/// What another truststore is to the enforced one, the likeliest to be meant first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NeighbourKind {
    /// A version of the same object that is newer.
    NewerVersion,
    /// What the domain enforced before.
    OlderVersion,
    /// What another domain enforces.
    OtherDomain,
}

/// The clients that a domain has seen. Asked only while explaining.
pub trait ClientsSeen {
    /// Clients whose certificate has the subject of `leaf`, or shares a subject alternative name with it; `leaf` itself
    /// may be among them.
    fn namesakes(&self, leaf: &Certificate) -> Vec<Seen>;
    /// How many clients came within the hour before `at` with a certificate that was not valid yet.
    fn not_yet_valid(&self, at: UnixSeconds) -> usize;
}

/// A client that presented itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// SHA-256 of its certificate, lowercase hexadecimal.
    pub fingerprint: String,
    /// First second of its certificate's validity.
    pub not_before: UnixSeconds,
    /// Last second of its certificate's validity.
    pub not_after: UnixSeconds,
    /// When it presented itself last.
    pub last_seen: UnixSeconds,
}

/// The answer to "why not, and what now?".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// One or two plain sentences that name the cause.
    pub explanation: String,
    /// What to do.
    pub fix: String,
    /// Facts by name.
    pub evidence: Vec<(String, String)>,
}

/// Explains a refusal by its nearest miss; `None` when the judgement accepts.
///
/// `chain` is what was judged, `at` when. The first neighbour that would accept is named, in the order of
/// [`NeighbourKind`].
pub fn explain(
    judgment: &Judgment,
    chain: &[&[u8]],
    truststore: &Truststore,
    around: &Surroundings<'_>,
    policy: &Policy,
    at: UnixSeconds,
) -> Option<Explanation> {
    let refusal = judgment.refusal()?;
    let case = Case { refusal, chain, truststore, policy, at };
    let leaf = chain.first().and_then(|der| Certificate::from_der(der).ok());
    let mut explanation =
        leaf.as_ref().and_then(|leaf| case.nearest_miss(leaf, around.neighbours)).unwrap_or_else(|| case.plain());
    for (name, value) in &refusal.evidence {
        if explanation.evidence.iter().all(|(known, _)| known != name) {
            explanation.evidence.push(((*name).to_owned(), value.clone()));
        }
    }
    Some(explanation)
}

/// What is to be explained.
struct Case<'a> {
    refusal: &'a Refusal,
    chain: &'a [&'a [u8]],
    truststore: &'a Truststore,
    policy: &'a Policy,
    at: UnixSeconds,
}

impl Case<'_> {
    fn nearest_miss(&self, leaf: &Certificate, neighbours: &[Neighbour<'_>]) -> Option<Explanation> {
        if let Some(found) = self.in_neighbour(leaf, neighbours) {
            return Some(found);
        }
        match self.refusal.code {
            Code::ClientCertUntrusted => Some(self.unknown_issuer(leaf)),
            Code::ClientCertSignatureInvalid => self.other_key(leaf),
            Code::ClientCertSelfSigned => Some(self.self_signed(leaf)),
            Code::ClientCertChainIncomplete => self.incomplete(leaf),
            Code::ClientCertExpired => Some(self.expired(leaf)),
            Code::ClientCertNotYetValid => Some(self.not_yet_valid(leaf)),
            Code::ClientCertIssuerExpired => self.issuer_expired(),
            _ => None,
        }
    }

    /// The refusal's own sentence.
    fn plain(&self) -> Explanation {
        let fix = self.refusal.fix.as_deref().unwrap_or_else(|| self.refusal.code.fix());
        Explanation::new(sentence(&self.refusal.detail), fix)
    }

    /// The chain would be accepted by another truststore.
    fn in_neighbour(&self, leaf: &Certificate, neighbours: &[Neighbour<'_>]) -> Option<Explanation> {
        let accepts = |neighbour: &&Neighbour<'_>| {
            neighbour.truststore.judge(self.chain, self.policy, &Unrevoked, self.at).is_accepted()
        };
        let mut nearest: Vec<&Neighbour<'_>> = neighbours.iter().collect();
        nearest.sort_by_key(|neighbour| neighbour.kind);
        let neighbour = nearest.into_iter().find(accepts)?;
        let newer = neighbour.kind == NeighbourKind::NewerVersion;
        let name = neighbour.name;
        let explanation = if neighbour.truststore.inner().listed(leaf.der()).is_some() {
            Explanation::new(
                if newer {
                    format!("The certificate itself is in a newer version of the truststore's object: {name}.")
                } else {
                    format!("The certificate itself is in {name}, but not in the truststore that is enforced.")
                },
                "",
            )
        } else {
            let issuer = leaf.issuer();
            Explanation::new(
                if newer {
                    format!("The issuer \"{issuer}\" is in a newer version of the truststore's object: {name}.")
                } else {
                    format!("The issuer \"{issuer}\" is trusted by {name}, but not by the truststore that is enforced.")
                },
                "",
            )
            .with("issuer_wanted", issuer)
        };
        let fix = if newer {
            "Update the domain's TruststoreVersion to that version; a new version of the object does nothing until then."
        } else {
            "Add the issuer, and every authority above it up to the root, from there to this domain's truststore and \
             update the domain; or send the client where it is trusted."
        };
        Some(Explanation { fix: fix.to_owned(), ..explanation }.with("found_in", name))
    }

    /// No CA has the issuer's name.
    fn unknown_issuer(&self, leaf: &Certificate) -> Explanation {
        let wanted = leaf.issuer();
        let base = |explanation: String, fix: &str| {
            let explanation = Explanation::new(explanation, fix).with("issuer_wanted", wanted);
            with_key_id(with_urls(explanation, leaf), "issuer_key_id_wanted", leaf.authority_key_id())
        };
        let alike = self
            .truststore
            .certificates()
            .find(|ca| constraints::same_name(content(ca.subject_der()), content(leaf.issuer_der())));
        if let Some(ca) = alike {
            let explanation = format!(
                "The truststore has \"{}\", which is the issuer's name in another encoding (string types, letter case \
                 or blanks); names are compared byte for byte.",
                ca.subject()
            );
            let fix = "Have the certificate issued by the authority as it is named in the truststore, or add the \
                       authority's certificate under the name that the certificate gives.";
            return base(explanation, fix).with("truststore_issuer_sha256", &ca.fingerprint_hex());
        }
        if let Some(sent) = self.sent_issuer(leaf) {
            return match self.policy.profile {
                Profile::Aws => base(
                    format!(
                        "The issuer \"{wanted}\" was sent by the client, but the path is built from the truststore \
                         alone, and it is not there."
                    ),
                    "Add the intermediate that the client sends to the truststore, with every authority above it up \
                     to the root, and update the domain.",
                ),
                Profile::Rfc5280 => base(
                    format!(
                        "The issuer \"{wanted}\" was sent by the client, but the way on from it to the truststore is \
                         missing: \"{}\".",
                        sent.issuer()
                    ),
                    Code::ClientCertUntrusted.fix(),
                ),
            }
            .with("issuer_sent_sha256", &sent.fingerprint_hex());
        }
        if self.policy.profile == Profile::Rfc5280 && self.chain.len() == 1 {
            return base(
                format!(
                    "The client sent only its own certificate, and its issuer \"{wanted}\" is not in the truststore."
                ),
                "Have the client send its intermediates after its certificate, or add them to the truststore.",
            );
        }
        base(format!("No authority in the truststore is named \"{wanted}\"."), Code::ClientCertUntrusted.fix())
    }

    /// The name is there, its key is another.
    fn other_key(&self, leaf: &Certificate) -> Option<Explanation> {
        let named: Vec<&Arc<Certificate>> = self.named(leaf.issuer_der()).collect();
        let first = named.first()?;
        let which = match named.len() {
            1 => "an authority".to_owned(),
            count => format!("{count} authorities"),
        };
        let explanation = format!(
            "The truststore has {which} named \"{}\", but the certificate was signed by another key{}.",
            first.subject(),
            match leaf.authority_key_id() {
                Some(id) if named.iter().all(|ca| ca.subject_key_id().is_some_and(|known| known != id)) => {
                    format!(" (key identifier {})", colons(id))
                }
                _ => String::new(),
            }
        );
        let mut explanation =
            Explanation::new(explanation, Code::ClientCertSignatureInvalid.fix()).with("issuer_wanted", leaf.issuer());
        explanation = with_key_id(explanation, "issuer_key_id_wanted", leaf.authority_key_id());
        if let Some(sent) = self.sent_issuer(leaf) {
            explanation = explanation.with("issuer_sent_sha256", &sent.fingerprint_hex());
        }
        for ca in named.iter().take(MAX_NAMED) {
            explanation = explanation.with("truststore_issuer_sha256", &ca.fingerprint_hex());
            explanation = with_key_id(explanation, "truststore_issuer_key_id", ca.subject_key_id());
        }
        Some(with_urls(explanation, leaf))
    }

    fn self_signed(&self, leaf: &Certificate) -> Explanation {
        let twin = self.named(leaf.subject_der()).next();
        let explanation = match twin {
            Some(twin) if twin.public_key_der() == leaf.public_key_der() => format!(
                "The certificate \"{}\" is self-signed, and the truststore has another certificate with its name and \
                 key, so it was probably renewed; a listed certificate is accepted only byte for byte.",
                leaf.subject()
            ),
            Some(_) => format!(
                "The certificate \"{}\" is self-signed; the truststore has a certificate with its name, but with \
                 another key.",
                leaf.subject()
            ),
            None => format!("The certificate \"{}\" is self-signed and not in the truststore.", leaf.subject()),
        };
        let explanation =
            Explanation::new(explanation, Code::ClientCertSelfSigned.fix()).with("sha256", &leaf.fingerprint_hex());
        match twin {
            Some(twin) => explanation.with("truststore_sha256", &twin.fingerprint_hex()),
            None => explanation,
        }
    }

    /// The path ends below a root.
    fn incomplete(&self, leaf: &Certificate) -> Option<Explanation> {
        let inner = self.truststore.inner();
        let ends = inner.named(leaf.issuer_der()).iter().map(|&place| &inner.dead_end(place).certificate);
        let reported =
            self.refusal.evidence.iter().find(|(name, _)| *name == "certificate").map(|(_, subject)| subject);
        let end = ends.into_iter().find(|end| reported.is_some_and(|subject| subject == end.subject()))?;
        let missing = match self.named(end.issuer_der()).any(|ca| ca != end) {
            true => "is there by name only: the authority of that name in the truststore did not sign it",
            false => "is not in the truststore, which must hold every authority up to the self-signed root",
        };
        let explanation = format!(
            "The path ends at the intermediate \"{}\": its issuer \"{}\" {missing}.",
            end.subject(),
            end.issuer()
        );
        let explanation = Explanation::new(explanation, Code::ClientCertChainIncomplete.fix())
            .with("certificate", end.subject())
            .with("issuer_wanted", end.issuer());
        let explanation = with_key_id(explanation, "issuer_key_id_wanted", end.authority_key_id());
        let explanation = match self.sent_issuer(end) {
            Some(sent) => explanation.with("issuer_sent_sha256", &sent.fingerprint_hex()),
            None => explanation,
        };
        Some(with_urls(explanation, end))
    }

    fn expired(&self, leaf: &Certificate) -> Explanation {
        let ago = self.at.saturating_sub(leaf.not_after());
        let explanation = format!(
            "The certificate \"{}\" expired {} ago, on {}.",
            leaf.subject(),
            time::span(ago),
            time::rfc3339(leaf.not_after())
        );
        Explanation::new(explanation, Code::ClientCertExpired.fix())
            .with("not_after", &time::rfc3339(leaf.not_after()))
            .with("expired_for", &time::span(ago))
            .with("judged_at", &time::rfc3339(self.at))
    }

    fn issuer_expired(&self) -> Option<Explanation> {
        let (_, subject) = self.refusal.evidence.iter().find(|(name, _)| *name == "certificate")?;
        let sent =
            self.chain.iter().skip(1).take(MAX_SENT).filter_map(|der| Certificate::from_der(der).ok()).map(Arc::new);
        let ca = self
            .truststore
            .certificates()
            .cloned()
            .chain(sent)
            .find(|ca| ca.subject() == subject && !(ca.not_before()..=ca.not_after()).contains(&self.at))?;
        let (explanation, fix) = if self.at > ca.not_after() {
            let (ago, date) = (time::span(self.at.saturating_sub(ca.not_after())), time::rfc3339(ca.not_after()));
            (format!("The authority \"{subject}\" expired {ago} ago, on {date}."), Code::ClientCertIssuerExpired.fix())
        } else {
            let (left, date) = (time::span(ca.not_before().saturating_sub(self.at)), time::rfc3339(ca.not_before()));
            let fix = "Wait for its validity to begin, or correct the clock of whoever issued it.";
            (format!("The authority \"{subject}\" becomes valid in {left}, on {date}."), fix)
        };
        let explanation = Explanation::new(explanation, fix)
            .with("certificate", subject)
            .with("certificate_sha256", &ca.fingerprint_hex())
            .with("not_before", &time::rfc3339(ca.not_before()))
            .with("not_after", &time::rfc3339(ca.not_after()))
            .with("judged_at", &time::rfc3339(self.at));
        Some(explanation)
    }

    fn not_yet_valid(&self, leaf: &Certificate) -> Explanation {
        let left = leaf.not_before().saturating_sub(self.at);
        let mut explanation = format!(
            "The certificate \"{}\" becomes valid in {}, on {}.",
            leaf.subject(),
            time::span(left),
            time::rfc3339(leaf.not_before())
        );
        let mut fix = Code::ClientCertNotYetValid.fix();
        if left <= CLOCK_SKEW_SECONDS {
            explanation.push_str(" That is so near that the clock here or at its authority is probably wrong.");
            fix =
                "Set the clocks of this machine and of the authority by a time server, then issue it again if needed.";
        }
        Explanation::new(explanation, fix)
            .with("not_before", &time::rfc3339(leaf.not_before()))
            .with("judged_at", &time::rfc3339(self.at))
    }

    /// The certificate among those that the client sent whose key signed `child`.
    fn sent_issuer(&self, child: &Certificate) -> Option<Certificate> {
        self.chain
            .iter()
            .skip(1)
            .take(MAX_SENT)
            .filter_map(|der| Certificate::from_der(der).ok())
            .find(|sent| sent.subject_der() == child.issuer_der() && key::signed_by(child, sent))
    }

    fn named(&self, subject: &[u8]) -> impl Iterator<Item = &Arc<Certificate>> {
        let inner = self.truststore.inner();
        inner.named(subject).iter().map(|&place| &inner.entry(place).certificate)
    }
}

/// CAs of one name that are told of.
const MAX_NAMED: usize = 4;
/// Certificates of the client that are looked at.
const MAX_SENT: usize = 16;
/// A validity that begins within this is rather a wrong clock than a plan.
const CLOCK_SKEW_SECONDS: i64 = 86_400;

impl Explanation {
    fn new(explanation: String, fix: &str) -> Self {
        Self { explanation, fix: fix.to_owned(), evidence: Vec::new() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.evidence.push((name.to_owned(), value.to_owned()));
        self
    }
}

fn with_key_id(explanation: Explanation, name: &str, id: Option<&[u8]>) -> Explanation {
    match id {
        Some(id) => explanation.with(name, &colons(id)),
        None => explanation,
    }
}

/// Where the missing issuer can be had, if the certificate says so.
fn with_urls(mut explanation: Explanation, child: &Certificate) -> Explanation {
    if let Some(url) = child.issuer_urls().first() {
        explanation = explanation.with("issuer_url", url);
        explanation.fix.push_str(" The certificate names ");
        explanation.fix.push_str(url);
        explanation.fix.push_str(" as the place where its issuer can be had.");
    }
    explanation
}

fn content(name: &[u8]) -> &[u8] {
    crate::der::Reader::new(name).any().map_or(&[], |name| name.value)
}

/// `aa:bb:cc`
fn colons(bytes: &[u8]) -> String {
    let hex = HEXLOWER.encode(bytes);
    hex.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair)).collect::<Vec<_>>().join(":")
}

/// A detail as a sentence.
fn sentence(detail: &str) -> String {
    let mut chars = detail.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
