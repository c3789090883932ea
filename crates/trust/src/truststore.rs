//! A truststore: the certificates of one PEM object, compiled for judging.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use data_encoding::HEXLOWER;

use crate::certificate::sha256;
use crate::form::Content;
use crate::pem::Pem;
use crate::{Certificate, Finding, Form, Rule, Severity, UnixSeconds, key, lint, pem, rules};

/// AWS's limit on a truststore's size.
pub const MAX_BYTES: usize = 1024 * 1024;
/// AWS's limit on a truststore's certificates.
pub const MAX_CERTIFICATES: usize = 1000;

/// A compiled truststore: the paths between its CAs are found and checked when it is made, so judging a chain costs one
/// signature check.
#[derive(Clone)]
pub struct Truststore(Arc<Inner>);

pub(crate) struct Inner {
    digest: Digest,
    /// In the file's order, without duplicates.
    entries: Vec<Entry>,
    /// Places in `entries`, ordered by DER.
    by_der: Vec<u32>,
    by_subject: BySubject,
}

/// Places in `entries`, ordered by the subject's DER, then by place.
struct BySubject(Vec<u32>);

/// A certificate of a truststore and what stands above it there.
pub(crate) struct Entry {
    pub certificate: Arc<Certificate>,
    /// Line of its BEGIN marker, from 1.
    pub line: usize,
    /// Its own key signed it: a path may end here.
    pub self_signed: bool,
    /// Places of the entries whose key signed it (never its own), the nearest to a root first.
    pub issuers: Vec<u32>,
    /// CAs on the shortest path from here to a self-signed root, both counted; `None` if there is none.
    pub distance: Option<u32>,
}

/// SHA-256 of a truststore's bytes; prints as lowercase hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

/// Bytes that cannot be a truststore at all. Certificates that are merely bad become [`Finding`]s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TruststoreError {
    /// More than [`MAX_BYTES`].
    #[error("the truststore has more than 1048576 bytes; no more are allowed")]
    TooLarge,
    /// More than [`MAX_CERTIFICATES`].
    #[error("the truststore has {0} certificates; at most 1000 are allowed")]
    TooMany(usize),
    /// A private key is in the file.
    #[error("the truststore contains a private key (line {line}); remove it, and treat the key as leaked")]
    PrivateKey {
        /// Line of its BEGIN marker, from 1.
        line: usize,
    },
    /// It is not PEM, but a form that can be told.
    #[error("the truststore is {}; {}", .0.name(), .0.conversion())]
    Form(Form),
    /// There is no PEM in it.
    #[error("the truststore contains no usable certificate: there is no PEM in it")]
    Empty,
    /// Not one certificate in it can be used, as these say.
    #[error("the truststore contains no usable certificate{}", first(.0))]
    Unusable(Vec<Finding>),
}

impl Truststore {
    /// Reads PEM. Bad certificates are left out and told in the findings; `at` is for "expired" and "expires soon".
    ///
    /// The work is bounded whatever the bytes are: at most [`MAX_BYTES`], [`MAX_CERTIFICATES`] and
    /// a few thousand signature checks.
    pub fn compile(pem: &[u8], at: UnixSeconds) -> Result<(Self, Vec<Finding>), TruststoreError> {
        if pem.len() > MAX_BYTES {
            return Err(TruststoreError::TooLarge);
        }
        let Pem { blocks, stray, private_key } = pem::read(pem);
        if let Some(line) = private_key.or_else(|| hidden_private_key(&blocks)) {
            return Err(TruststoreError::PrivateKey { line });
        }
        if blocks.is_empty() {
            match Content::of_file(pem) {
                Some(Content::PrivateKey) => return Err(TruststoreError::PrivateKey { line: 1 }),
                Some(Content::Form(form)) => return Err(TruststoreError::Form(form)),
                None => {}
            }
        }
        let count = blocks.iter().filter(|block| is_certificate(block.label)).count();
        if count > MAX_CERTIFICATES {
            return Err(TruststoreError::TooMany(count));
        }
        let (mut entries, mut findings) = read(blocks);
        findings.extend(stray.into_iter().take(MAX_STRAY).map(lint::stray));
        if entries.is_empty() {
            findings.sort_by_key(|finding| finding.line);
            return Err(if findings.is_empty() { TruststoreError::Empty } else { TruststoreError::Unusable(findings) });
        }
        let by_subject = BySubject::of(&entries);
        let complete = link(&mut entries, &by_subject);
        measure(&mut entries);
        let mut by_der: Vec<u32> = (0..).take(entries.len()).collect();
        by_der.sort_unstable_by_key(|&place| entries[place as usize].certificate.der());
        findings.extend(lint::inspect(&entries, complete, at));
        findings.sort_by_key(|finding| finding.line);
        let inner = Inner { digest: Digest::of(pem), by_der, by_subject, entries };
        Ok((Self(Arc::new(inner)), findings))
    }

    /// Whether a certificate in this PEM has one of these subjects (whole `Name`s in DER). Costs a hundredth of compiling.
    pub fn names_any(pem: &[u8], subjects: &[&[u8]]) -> bool {
        if pem.len() > MAX_BYTES {
            return false;
        }
        let blocks = pem::blocks(pem).into_iter().filter(|block| is_certificate(block.label)).take(MAX_CERTIFICATES);
        let mut certificates = blocks.filter_map(|block| Certificate::from_der(&block.body.ok()?).ok());
        certificates.any(|certificate| subjects.contains(&certificate.subject_der()))
    }

    /// Digest of the bytes that it was compiled from.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// Its certificates in the file's order, each once.
    pub fn certificates(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.0.entries.iter().map(|entry| &entry.certificate)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }
}

impl TruststoreError {
    /// The same as findings, for a report of them.
    pub fn findings(&self) -> Vec<Finding> {
        let (code, line, explanation, fix) = match self {
            Self::Unusable(findings) => return findings.clone(),
            Self::TooLarge => (Rule::TooLarge, 1, self.sentence(), "Remove what clients do not need."),
            Self::TooMany(_) => {
                (Rule::TooMany, 1, self.sentence(), "Remove the certificates that clients do not need.")
            }
            Self::PrivateKey { line } => (
                Rule::PrivateKey,
                *line,
                "A private key is in the file; whoever could read the file has it, so it is to be treated as leaked."
                    .to_owned(),
                "Remove it, issue a new key and certificate to its owner, and revoke the old certificate.",
            ),
            Self::Form(form) => {
                let fix = sentence(form.conversion());
                return vec![Finding {
                    fix,
                    ..Finding::of_file(form.rule(), Severity::Error, 1, format!("The file is {}.", form.name()), "")
                }];
            }
            Self::Empty => (
                Rule::Empty,
                1,
                "There is no PEM in the file: no line -----BEGIN CERTIFICATE-----.".to_owned(),
                "Put the certificates of the authorities into it, each in PEM.",
            ),
        };
        vec![Finding::of_file(code, Severity::Error, line, explanation, fix)]
    }

    fn sentence(&self) -> String {
        sentence(&self.to_string())
    }
}

impl Inner {
    pub(crate) fn entry(&self, place: u32) -> &Entry {
        &self.entries[place as usize]
    }

    /// Where the certificate with exactly these bytes is.
    pub(crate) fn listed(&self, der: &[u8]) -> Option<u32> {
        let found = self.by_der.binary_search_by_key(&der, |&place| self.entry(place).certificate.der());
        found.ok().map(|index| self.by_der[index])
    }

    /// The entries with this subject (the whole `Name` in DER).
    pub(crate) fn named(&self, subject: &[u8]) -> &[u32] {
        self.by_subject.named(&self.entries, subject)
    }

    /// An entry above which nothing is in the truststore, found by climbing from `place`, which reaches no root.
    pub(crate) fn dead_end(&self, place: u32) -> &Entry {
        let mut seen = vec![false; self.entries.len()];
        seen[place as usize] = true;
        let mut top = place;
        while let Some(&next) = self.entry(top).issuers.iter().find(|&&next| !seen[next as usize]) {
            seen[next as usize] = true;
            top = next;
        }
        self.entry(top)
    }
}

impl fmt::Debug for Truststore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Truststore({})", self.digest())
    }
}

impl Digest {
    /// Of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha256(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// What is wrong with the first certificate.
fn first(findings: &[Finding]) -> String {
    findings.first().map(|first| format!(": line {}: {}", first.line, first.explanation)).unwrap_or_default()
}

/// Stray lines that are told of.
const MAX_STRAY: usize = 100;

/// Line of a block that says it is something else, but holds a private key.
fn hidden_private_key(blocks: &[pem::Block<'_>]) -> Option<usize> {
    let is_key = |der: &[u8]| Content::of_der(der) == Some(Content::PrivateKey);
    blocks.iter().find(|block| block.body.as_deref().is_ok_and(is_key)).map(|block| block.line)
}

fn is_certificate(label: &str) -> bool {
    matches!(label, "CERTIFICATE" | "X509 CERTIFICATE")
}

/// Parses the certificates among the blocks; what cannot be used becomes a finding.
fn read(blocks: Vec<pem::Block<'_>>) -> (Vec<Entry>, Vec<Finding>) {
    let mut entries: Vec<Entry> = Vec::new();
    let mut findings = Vec::new();
    let mut lines_by_fingerprint = HashMap::new();
    for block in blocks {
        let line = block.line;
        if !is_certificate(block.label) {
            findings.push(lint::other_block(block.label, line));
            continue;
        }
        let certificate = match block.body {
            Ok(der) => Certificate::from_der(&der).map_err(|error| lint::bad_certificate(&error, &der, line)),
            Err(bad) => Err(lint::bad_block(bad, line)),
        };
        match certificate {
            Err(finding) => findings.push(finding),
            Ok(certificate) => match lines_by_fingerprint.insert(certificate.fingerprint(), line) {
                Some(first) => {
                    lines_by_fingerprint.insert(certificate.fingerprint(), first);
                    findings.push(lint::duplicate(&certificate, line, first));
                }
                None => entries.push(Entry {
                    self_signed: key::is_self_signed(&certificate),
                    certificate: Arc::new(certificate),
                    line,
                    issuers: Vec::new(),
                    distance: None,
                }),
            },
        }
    }
    entries.shrink_to_fit();
    (entries, findings)
}

impl BySubject {
    fn of(entries: &[Entry]) -> Self {
        let mut places: Vec<u32> = (0..).take(entries.len()).collect();
        places.sort_by_key(|&place| entries[place as usize].certificate.subject_der());
        Self(places)
    }

    fn named(&self, entries: &[Entry], subject: &[u8]) -> &[u32] {
        let subject_at = |&place: &u32| entries[place as usize].certificate.subject_der();
        let start = self.0.partition_point(|place| subject_at(place) < subject);
        let count = self.0[start..].partition_point(|place| subject_at(place) == subject);
        &self.0[start..start + count]
    }
}

/// Signature checks for all of a truststore's links (counted in checks with P-256: half a second), and for one
/// certificate's. A thousand CAs need one each, with P-521 thirteen; only authorities that share one name need more.
const MAX_LINK_CHECKS: u32 = 15_000;
const MAX_LINK_CHECKS_EACH: usize = 16;

/// Finds for each entry the entries that issued it. False if the bounds left some unfound.
fn link(entries: &mut [Entry], by_subject: &BySubject) -> bool {
    let mut left = MAX_LINK_CHECKS;
    let mut complete = true;
    for place in 0..entries.len() {
        let entry = &entries[place];
        if entry.self_signed {
            continue;
        }
        let child = &entry.certificate;
        let candidates = by_subject.named(entries, child.issuer_der());
        let mut candidates: Vec<u32> = candidates
            .iter()
            .copied()
            .filter(|&other| other as usize != place && may_issue(&entries[other as usize]))
            .collect();
        candidates.sort_by_key(|&other| key_id_mismatch(child, &entries[other as usize].certificate));
        let mut tried: Vec<&[u8]> = Vec::new();
        let mut issuing_key = None;
        for &candidate in &candidates {
            let issuer = &entries[candidate as usize].certificate;
            if tried.contains(&issuer.public_key_der()) {
                continue;
            }
            let cost = issuer.key().verification_cost();
            if tried.len() == MAX_LINK_CHECKS_EACH || left < cost {
                complete = false;
                break;
            }
            tried.push(issuer.public_key_der());
            left -= cost;
            if key::signed_by(child, issuer) {
                issuing_key = Some(issuer.public_key_der());
                break;
            }
        }
        candidates.retain(|&other| Some(entries[other as usize].certificate.public_key_der()) == issuing_key);
        entries[place].issuers = candidates;
    }
    complete
}

fn may_issue(entry: &Entry) -> bool {
    rules::issuing_defect(&entry.certificate, entry.self_signed).is_none()
}

/// 0 where the key identifiers say that `issuer` issued `child`, 1 where they say nothing, 2 where they say no.
pub(crate) fn key_id_mismatch(child: &Certificate, issuer: &Certificate) -> u8 {
    match (child.authority_key_id(), issuer.subject_key_id()) {
        (Some(wanted), Some(id)) if wanted == id => 0,
        (Some(_), Some(_)) => 2,
        _ => 1,
    }
}

/// Measures distances from the roots down, breadth first, and puts each entry's nearest issuer first.
fn measure(entries: &mut [Entry]) {
    let mut issued: Vec<Vec<u32>> = vec![Vec::new(); entries.len()];
    let mut queue = VecDeque::new();
    for (place, entry) in (0_u32..).zip(entries.iter_mut()) {
        for &issuer in &entry.issuers {
            issued[issuer as usize].push(place);
        }
        if entry.self_signed && may_issue(entry) {
            entry.distance = Some(1);
            queue.push_back(place);
        }
    }
    while let Some(place) = queue.pop_front() {
        let distance = entries[place as usize].distance.map_or(1, |distance| distance + 1);
        for &child in &issued[place as usize] {
            let child_entry = &mut entries[child as usize];
            if child_entry.distance.is_none() {
                child_entry.distance = Some(distance);
                queue.push_back(child);
            }
        }
    }
    let distances: Vec<Option<u32>> = entries.iter().map(|entry| entry.distance).collect();
    for entry in entries {
        entry.issuers.sort_by_key(|&issuer| distances[issuer as usize].unwrap_or(u32::MAX));
    }
}
