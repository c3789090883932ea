//! Everything that is known before anything is judged.

use rustls::AlertDescription;
use trust::{Certificate, Code, Policy, Profile, UnixSeconds};

use super::files::Files;
use super::judge::Verdict;
use super::probe::{Live, Visit};
use super::settings::Settings;
use super::target::Target;

/// What the checks look at. They read nothing else.
pub(super) struct Facts {
    pub(super) target: Target,
    /// Where was connected to.
    pub(super) address: String,
    pub(super) now: UnixSeconds,
    pub(super) files: Files,
    pub(super) live: Live,
    /// Of the custom domain, where the AWS APIs could be asked and know it.
    pub(super) settings: Option<Settings>,
    /// Why they could not be read although somebody named a server.
    pub(super) settings_error: Option<String>,
    /// As given.
    pub(super) profile: Option<Profile>,
    /// What the judge says of the client's certificate.
    pub(super) verdict: Option<Verdict>,
}

impl Facts {
    /// The rules that the server is meant to enforce.
    pub(super) fn policy(&self) -> Policy {
        let tagged = self.settings.as_ref().map(Settings::policy).unwrap_or_default();
        match self.profile {
            Some(profile) => Policy { any_eku: tagged.any_eku, ..Policy::of(profile) },
            None => tagged,
        }
    }

    /// The reason for which the client's certificate is refused: as the judge says, else as the server has recorded it, else as
    /// far as its behaviour lets no other.
    pub(super) fn reason(&self) -> Option<Code> {
        let judged = self.verdict.as_ref().and_then(Verdict::reason);
        judged.or_else(|| self.recorded()?.code).or_else(|| self.told())
    }

    /// What the server's behaviour says, where there is no truststore to judge by.
    pub(super) fn told(&self) -> Option<Code> {
        let visit = self.given().filter(|visit| visit.is_refused())?;
        let leaf = self.files.client.as_ref()?.leaf()?;
        let alert = visit.alert();
        if alert == Some(AlertDescription::CertificateRevoked) {
            return Some(Code::ClientCertCrlHit);
        }
        if !matches!(self.verdict, Some(Verdict::Sound)) || self.recorded().is_some() {
            return None;
        }
        let is_foreign = alert == Some(AlertDescription::UnknownCA) || self.is_asked_for() == Some(false);
        match alert {
            _ if is_foreign && leaf.is_self_issued() => Some(Code::ClientCertSelfSigned),
            _ if is_foreign => Some(Code::ClientCertUntrusted),
            Some(AlertDescription::BadCertificate | AlertDescription::UnsupportedCertificate) if leaf.version() < 3 => {
                Some(Code::ClientCertTypeUnsupported)
            }
            _ => None,
        }
    }

    /// Whether the authorities that the server names are among the issuers of what the client sends; none: it names none.
    pub(super) fn is_asked_for(&self) -> Option<bool> {
        let names = &self.live.request()?.names;
        let client = self.files.client.as_ref()?;
        let issuers = || client.certificates.iter().map(|(_, certificate)| certificate.issuer_der());
        (!names.is_empty()).then(|| issuers().any(|issuer| names.iter().any(|name| name == issuer)))
    }

    /// What the server itself has recorded of the refusal of the given certificate.
    pub(super) fn recorded(&self) -> Option<&super::settings::Explained> {
        self.settings.as_ref()?.explained.as_ref()
    }

    /// What the given certificate met, if there is one that could be shown.
    pub(super) fn given(&self) -> Option<&Visit> {
        self.live.given.as_ref()
    }

    /// The server's own certificate, as far as it can be read.
    pub(super) fn server(&self) -> Option<&Certificate> {
        self.live.server_chain.first()
    }
}
