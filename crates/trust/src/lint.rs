//! Findings about a truststore: one a rule.

use std::collections::HashMap;

use serde::Serialize;

use crate::certificate::CertificateError;
use crate::der::Reader;
use crate::form::{Content, Form};
use crate::pem::{BadBlock, Stray, StrayKind};
use crate::truststore::Entry;
use crate::{Certificate, Profile, UnixSeconds, rules, time};

mod rule;

pub use rule::Rule;

/// Something about a truststore that its owner should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule that found it.
    pub code: Rule,
    /// How bad.
    pub severity: Severity,
    /// Subject of the certificate concerned (AWS form), if it could be read.
    pub subject: Option<String>,
    /// Line of its BEGIN marker in the PEM, from 1.
    pub line: usize,
    /// What is wrong, in one sentence.
    pub explanation: String,
    /// What to do, in one sentence.
    pub fix: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Will matter, or matters to some clients.
    Warning,
    /// The certificate is not used.
    Error,
}

/// "Expires soon" is within this.
const SOON_SECONDS: i64 = 30 * 86_400;

/// Applies every rule to every entry. `complete` is false where the search for issuers was cut short.
pub(crate) fn inspect(entries: &[Entry], complete: bool, at: UnixSeconds) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entry in entries {
        findings.extend(validity(entry, at));
        findings.extend(issuing(entry));
        findings.extend(weak_key(entry));
        findings.extend(weak_signature(entry));
        findings.extend(unknown_critical_extension(entry));
        findings.extend(issuer_missing(entry, entries, complete));
    }
    findings.extend(same_name(entries));
    findings
}

/// A block that is no certificate. Its label is content, so an unknown one is not quoted.
pub(crate) fn other_block(label: &str, line: usize) -> Finding {
    let (code, severity, explanation, fix) = match label {
        "TRUSTED CERTIFICATE" => (
            Rule::TrustedCertificate,
            Severity::Error,
            "This is OpenSSL's own TRUSTED CERTIFICATE format, whose extra rules would be lost.",
            "Convert it with openssl x509 -in FILE -out FILE.pem.",
        ),
        "PKCS7" | "CMS" => (
            Rule::Pkcs7,
            Severity::Error,
            "This block is a PKCS#7 container; the certificates in it are not used.",
            "Take them out with openssl pkcs7 -print_certs -in FILE -out FILE.pem.",
        ),
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => (
            Rule::NotACertificate,
            Severity::Warning,
            "This block is a request for a certificate, not a certificate.",
            "Replace it by the certificate that the authority made of it.",
        ),
        "X509 CRL" => (
            Rule::NotACertificate,
            Severity::Warning,
            "This block is a revocation list; in a truststore it has no effect.",
            "Keep it in a file of its own, and name that with the tag countersign:crl.",
        ),
        _ => (
            Rule::NotACertificate,
            Severity::Warning,
            "This block is not a certificate.",
            "Remove it from the truststore.",
        ),
    };
    Finding::of_file(code, severity, line, explanation.to_owned(), fix)
}

/// A block that is not PEM.
pub(crate) fn bad_block(bad: BadBlock, line: usize) -> Finding {
    let explanation = match bad {
        BadBlock::Unterminated => "The block has no END CERTIFICATE line, so it is not PEM.",
        BadBlock::Mismatched => "The block's BEGIN and END lines differ, so it is not PEM.",
        BadBlock::NotBase64 => "The block's content is not base64, so it is not PEM.",
    };
    let fix = "Copy the whole certificate again, from its BEGIN to its END line.";
    Finding::of_file(Rule::NotPem, Severity::Error, line, explanation.to_owned(), fix)
}

/// Lines between blocks that look as if they belonged to one.
pub(crate) fn stray(stray: Stray) -> Finding {
    let (code, explanation, fix) = match stray.kind {
        StrayKind::Begin => (
            Rule::NotPem,
            "The line looks like a certificate's BEGIN line, but is none: that has five hyphens on both sides and \
             nothing else.",
            "Put the BEGIN line, the base64 and the END line each on lines of their own.",
        ),
        StrayKind::End => (
            Rule::TrailingGarbage,
            "The END line has no BEGIN line, so whatever is above it is not used.",
            "Copy the whole certificate again, from its BEGIN to its END line, or remove the line.",
        ),
        StrayKind::Base64 => (
            Rule::TrailingGarbage,
            "The lines look like a certificate without its BEGIN line, and are not used.",
            "Copy the whole certificate again, from its BEGIN to its END line, or remove the lines.",
        ),
    };
    Finding::of_file(code, Severity::Error, stray.line, explanation.to_owned(), fix)
}

/// A certificate's block whose content is no certificate.
pub(crate) fn bad_certificate(error: &CertificateError, der: &[u8], line: usize) -> Finding {
    if let Some(Content::Form(form @ (Form::Pkcs7 | Form::Pkcs12))) = Content::of_der(der) {
        let explanation = format!("The block's content is {}.", form.name());
        let fix = "Take the certificates out, each into a block of its own (openssl base64 -d, then openssl pkcs7 or \
                   pkcs12).";
        return Finding::of_file(form.rule(), Severity::Error, line, explanation, fix);
    }
    let mut reader = Reader::new(der);
    let first = reader.any().ok().filter(|_| !reader.is_empty());
    if let Some(certificate) = first.and_then(|first| Certificate::from_der(first.whole).ok()) {
        let more = der.len().saturating_sub(certificate.der().len());
        let explanation = format!("In the block, {more} bytes follow the certificate's end, so it is not used.");
        let fix = "Convert it again with openssl x509 -in FILE -out FILE.pem, which leaves them out.";
        let finding = Finding::of_file(Rule::TrailingGarbage, Severity::Error, line, explanation, fix);
        return Finding { subject: Some(certificate.subject().to_owned()), ..finding };
    }
    let explanation = format!("The certificate cannot be read: {}.", error.0);
    let fix = "Replace it by the certificate as its authority issued it.";
    Finding::of_file(Rule::BadCertificate, Severity::Error, line, explanation, fix)
}

/// The same certificate again.
pub(crate) fn duplicate(certificate: &Certificate, line: usize, first: usize) -> Finding {
    Finding {
        code: Rule::Duplicate,
        severity: Severity::Note,
        subject: Some(certificate.subject().to_owned()),
        line,
        explanation: format!("The same certificate is in the truststore already, at line {first}."),
        fix: "Remove one of the two.".to_owned(),
    }
}

fn validity(entry: &Entry, at: UnixSeconds) -> Option<Finding> {
    let (not_before, not_after) = (entry.certificate.not_before(), entry.certificate.not_after());
    if at > not_after {
        let ago = time::span(at.saturating_sub(not_after));
        return Some(entry.finding(
            Rule::Expired,
            Severity::Error,
            format!("It expired on {}, {ago} ago.", time::rfc3339(not_after)),
            "Replace it by its renewed certificate.",
        ));
    }
    if at < not_before {
        return Some(entry.finding(
            Rule::NotYetValid,
            Severity::Error,
            format!("Its validity begins on {}.", time::rfc3339(not_before)),
            "Use it from then on, or correct the clock of whoever issued it.",
        ));
    }
    let left = not_after.saturating_sub(at);
    (left <= SOON_SECONDS).then(|| {
        entry.finding(
            Rule::ExpiresSoon,
            Severity::Warning,
            format!("It expires on {}, in {}.", time::rfc3339(not_after), time::span(left)),
            "Add its renewed certificate to the truststore before then.",
        )
    })
}

fn issuing(entry: &Entry) -> Option<Finding> {
    let certificate = &entry.certificate;
    let Some(defect) = rules::issuing_defect(certificate, entry.self_signed) else {
        return (certificate.version() < 3).then(|| {
            entry.finding(
                Rule::X509V1,
                Severity::Note,
                "It is X.509 v1 and cannot say that it is a CA; it is taken for one because it is self-signed."
                    .to_owned(),
                "Issue a root of X.509 v3 when it is renewed.",
            )
        });
    };
    Some(if certificate.is_ca() {
        entry.finding(
            Rule::NoKeyCertSign,
            Severity::Error,
            format!("It cannot issue client certificates: {defect}."),
            "Replace it by an authority's certificate whose key usage has keyCertSign.",
        )
    } else {
        entry.finding(
            Rule::NotACa,
            Severity::Warning,
            format!("It is accepted only as a client's own certificate and issues nothing: {defect}."),
            "Replace it by its issuer's certificate if clients are to be accepted by their issuer.",
        )
    })
}

fn weak_key(entry: &Entry) -> Option<Finding> {
    let defect = rules::key_defect(&entry.certificate, Profile::Aws)?;
    let fix = "Replace the authority by one with RSA 2048 bits or more, P-256 or P-384.";
    // What only the other profile allows is not weak.
    let severity = match rules::key_defect(&entry.certificate, Profile::Rfc5280) {
        Some(_) => Severity::Error,
        None => Severity::Warning,
    };
    Some(entry.finding(Rule::WeakKey, severity, format!("{}.", capitalised(&defect)), fix))
}

fn weak_signature(entry: &Entry) -> Option<Finding> {
    let defect = rules::signature_defect(&entry.certificate)?;
    Some(if entry.self_signed {
        entry.finding(
            Rule::WeakSignature,
            Severity::Note,
            format!("{}; a root's signature on itself proves nothing, so it is used.", capitalised(&defect)),
            "Replace it by a root signed with SHA-256 or stronger when it is renewed.",
        )
    } else {
        entry.finding(
            Rule::WeakSignature,
            Severity::Error,
            format!("{}.", capitalised(&defect)),
            "Have it issued again with SHA-256 or stronger.",
        )
    })
}

fn unknown_critical_extension(entry: &Entry) -> Option<Finding> {
    let defect = rules::extension_defect(&entry.certificate)?;
    Some(entry.finding(
        Rule::UnknownCriticalExtension,
        Severity::Error,
        format!("{}.", capitalised(&defect)),
        "Have it issued again without that extension, or with the extension not critical.",
    ))
}

/// An intermediate from which no path leads to a root: each of its clients is refused.
fn issuer_missing(entry: &Entry, entries: &[Entry], complete: bool) -> Option<Finding> {
    let certificate = &entry.certificate;
    let is_issuer = rules::issuing_defect(certificate, entry.self_signed).is_none();
    if !is_issuer || entry.self_signed || !entry.issuers.is_empty() {
        return None;
    }
    if rules::signature_defect(certificate).is_some() {
        return None; // The weak signature is the finding.
    }
    let same_name = entries.iter().any(|other| {
        other.certificate.subject_der() == certificate.issuer_der() && other.certificate.der() != certificate.der()
    });
    let issuer = certificate.issuer();
    let missing = match (same_name, complete) {
        (false, _) => format!("Its issuer \"{issuer}\" is not in the truststore"),
        (true, true) => format!("\"{issuer}\" in the truststore has its issuer's name but did not sign it"),
        (true, false) => format!(
            "Too many authorities share its issuer's name \"{issuer}\" to try them all, and none that was tried signed it"
        ),
    };
    Some(entry.finding(
        Rule::IssuerMissing,
        Severity::Error,
        format!("{missing}, so its clients get 403 (except under the profile rfc5280)."),
        "Add its issuer, and every authority above it up to the self-signed root.",
    ))
}

fn same_name(entries: &[Entry]) -> Vec<Finding> {
    let mut first_by_name: HashMap<&[u8], &Entry> = HashMap::new();
    let mut findings = Vec::new();
    for entry in entries {
        let certificate = &entry.certificate;
        let first = *first_by_name.entry(certificate.subject_der()).or_insert(entry);
        if first.certificate.public_key_der() != certificate.public_key_der() {
            findings.push(entry.finding(
                Rule::SameNameDifferentKey,
                Severity::Note,
                format!("It has the same name as the certificate at line {}, and another key.", first.line),
                "Keep both only while the authority changes its key.",
            ));
        }
    }
    findings
}

impl Finding {
    /// Of something that has no subject.
    pub(crate) fn of_file(code: Rule, severity: Severity, line: usize, explanation: String, fix: &str) -> Self {
        Self { code, severity, subject: None, line, explanation, fix: fix.to_owned() }
    }
}

impl Entry {
    fn finding(&self, code: Rule, severity: Severity, explanation: String, fix: &str) -> Finding {
        let subject = Some(self.certificate.subject().to_owned());
        Finding { code, severity, subject, line: self.line, explanation, fix: fix.to_owned() }
    }
}

fn capitalised(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
