//! The checks, one a file, in one registry: [`ALL`]. A check reads the [`Facts`] and says what it found; it neither asks nor
//! changes anything, and says nothing that it does not know.

use serde::Serialize;

use super::facts::Facts;

macro_rules! registry {
    ($($module:ident),+ $(,)?) => {
        $(mod $module;)+
        /// Every check, those first whose findings are the cause of what later ones find.
        pub(super) const ALL: &[&Check] = &[$(&$module::CHECK),+];
    };
}

include!("checks/registry.rs");

/// One thing that is looked for.
pub(super) struct Check {
    /// Stable; a section of docs/doctor.md.
    pub(super) id: &'static str,
    /// Of what it finds, unless a finding says otherwise.
    pub(super) severity: Severity,
    /// What is wrong, as a sentence without its full stop.
    pub(super) about: &'static str,
    /// Why it matters.
    pub(super) why: &'static str,
    /// What has to be known to look.
    pub(super) needs: Need,
    /// Checks of which this is a mere consequence, when they have found something.
    pub(super) causes: &'static [&'static str],
    pub(super) look: fn(&Facts) -> Vec<Seen>,
}

/// What a check needs to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing but the endpoint's name.
    Nothing,
    /// That the endpoint speaks TLS.
    Tls,
    /// `--cert` and `--key`.
    Client,
    /// Both.
    ClientAndTls,
    /// A truststore, in a file or by the settings.
    Truststore,
    /// The AWS APIs of the server.
    Settings,
}

/// From good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Good to know.
    Info,
    /// Something will break, or is weaker than it need be.
    Warning,
    /// It does not work, or does not protect.
    Error,
}

/// What a check found.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// What was seen, in plain sentences.
    pub(super) what: String,
    /// What to do.
    pub(super) fix: String,
    /// For a shell.
    pub(super) commands: Vec<String>,
    /// Where it differs from the check's.
    pub(super) severity: Option<Severity>,
    /// What `--fix` would do: a setting of ours, safe to change.
    pub(super) remedy: Option<Remedy>,
}

/// A safe change of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Name the version in force as the one that is enforced.
    Pin { domain: String, version: String },
    /// Close an API's own endpoint, and deploy its stages.
    CloseEndpoint { api: String, is_rest: bool, stages: Vec<String> },
    /// Deploy stages, so that what was set holds.
    Deploy { api: String, is_rest: bool, stages: Vec<String> },
    /// Another format of an access log, to the same place.
    LogFormat { api: String, is_rest: bool, stage: String, destination: String, format: String },
}

impl Seen {
    pub(super) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        let (what, fix) = (what.into(), fix.into());
        Self { what, fix, commands: Vec::new(), severity: None, remedy: None }
    }

    pub(super) fn command(mut self, command: impl Into<String>) -> Self {
        self.commands.push(command.into());
        self
    }

    pub(super) fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    pub(super) fn remedy(mut self, remedy: Remedy) -> Self {
        self.remedy = Some(remedy);
        self
    }
}

impl Severity {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Need {
    /// Why a check cannot be made, if so.
    pub(super) fn lacking(self, facts: &Facts) -> Option<&'static str> {
        let no_tls = || (!facts.live.is_tls()).then_some("no TLS handshake came about");
        let no_client = || facts.files.client.is_none().then_some("no --cert and --key were given");
        match self {
            Self::Nothing => None,
            Self::Tls => no_tls(),
            Self::Client => no_client(),
            Self::ClientAndTls => no_client().or_else(no_tls),
            Self::Truststore => {
                facts.truststore().is_none().then_some("no --truststore was given, and no settings name one")
            }
            Self::Settings => facts.settings.is_none().then_some("the settings could not be read"),
        }
    }
}

/// Findings that explain why the given certificate is refused.
const WHY_REFUSED: &[&str] = &[
    "client-file-unusable",
    "key-unusable",
    "key-mismatch",
    "client-chain-order",
    "truststore-unusable",
    "truststore-stale",
    "client-invalid",
    "client-untrusted",
    "client-signature-invalid",
    "client-self-signed",
    "client-chain-incomplete",
    "client-expired",
    "client-not-yet-valid",
    "client-issuer-expired",
    "client-weak-signature",
    "client-weak-key",
    "client-purpose",
    "client-chain-too-long",
    "client-chain-too-large",
    "client-path-invalid",
    "client-path-too-complex",
    "client-version",
    "client-revoked",
    "client-revocation-unknown",
    "client-key-not-asked-for",
    "host-refused",
    "truststore-differs",
];

/// Days in which a certificate that ends is told.
const SOON_DAYS: i64 = 30;
const DAY: i64 = 86_400;

/// Seconds before its end from which on a certificate is told: 30 days, or a third of its life where that is shorter.
fn soon(not_before: i64, not_after: i64) -> i64 {
    (SOON_DAYS * DAY).min(not_after.saturating_sub(not_before) / 3)
}

/// What the judge or the server's own records say about the given certificate, where it is for this reason that it is refused.
fn refused_for(facts: &Facts, code: trust::Code) -> Vec<Seen> {
    if facts.reason() != Some(code) {
        return Vec::new();
    }
    let judged = facts.verdict.as_ref().and_then(|verdict| verdict.refused()).filter(|refused| refused.code == code);
    let seen = match (judged, facts.recorded()) {
        (Some(refused), recorded) => {
            let by = refused.by.as_ref().map(|by| format!(" (judged by {by})")).unwrap_or_default();
            let recorded = recorded.filter(|recorded| recorded.code == Some(code));
            let (what, fix) = match recorded {
                Some(recorded) => (recorded.explanation.clone(), recorded.fix.clone()),
                None => (format!("{}{by}", refused.explanation), refused.fix.clone()),
            };
            Seen::new(what, fix)
        }
        (None, Some(recorded)) => Seen::new(recorded.explanation.clone(), recorded.fix.clone()),
        (None, None) => told(facts, code),
    };
    let recorded = facts.recorded().filter(|recorded| !recorded.request_id.is_empty());
    let explain = recorded.map(|recorded| format!("countersign explain {}", recorded.request_id));
    vec![match explain {
        Some(command) => seen.command(command),
        None => seen,
    }]
}

/// What the server's behaviour leaves no doubt about.
fn told(facts: &Facts, code: trust::Code) -> Seen {
    let did = facts.given().map(|visit| visit.ended.words()).unwrap_or_default();
    let issuer = facts.files.client.as_ref().and_then(|client| client.leaf()).map(|leaf| leaf.issuer().to_owned());
    let asked_for = match (facts.is_asked_for(), facts.live.request()) {
        (Some(false), Some(request)) => {
            let names: Vec<String> = request.names.iter().take(5).map(|name| super::probe::name_text(name)).collect();
            let more = if request.names.len() > names.len() { " and others" } else { "" };
            format!(" It asks for certificates of {}{more}.", names.join("; "))
        }
        _ => String::new(),
    };
    let what = format!(
        "{} The server {did}. The certificate's issuer is {}.{asked_for}",
        code.summary(),
        issuer.unwrap_or_default()
    );
    Seen::new(what, code.fix())
}

/// The format of an access log with one more member (of JSON), or with one more word at its end.
fn with_member(format: &str, name: &str, variable: &str) -> Option<String> {
    const MAX_FORMAT_BYTES: usize = 3 * 1024;
    let trimmed = format.trim_end();
    let longer = match trimmed.strip_suffix('}').filter(|_| trimmed.trim_start().starts_with('{')) {
        Some(object) if object.trim_end().ends_with('{') => format!("{object}\"{name}\":\"{variable}\"}}"),
        Some(object) => format!("{},\"{name}\":\"{variable}\"}}", object.trim_end()),
        None if trimmed.starts_with('<') => return None,
        None => format!("{trimmed} {variable}"),
    };
    Some(longer).filter(|longer| longer.len() <= MAX_FORMAT_BYTES)
}

fn when(at: i64) -> String {
    use time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::from_unix_timestamp(at).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| at.to_string())
}

fn days(seconds: i64) -> String {
    match seconds / DAY {
        0 => format!("{} hours", seconds / 3600),
        1 => "a day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_causes_come_first() {
        for (place, check) in ALL.iter().enumerate() {
            assert!(ALL[..place].iter().all(|known| known.id != check.id), "{} twice", check.id);
            for cause in check.causes {
                let found = ALL.iter().position(|known| known.id == *cause);
                assert!(found.is_some_and(|found| found < place), "{} names {cause} as its cause", check.id);
            }
            assert!(!check.about.ends_with('.') && check.why.ends_with('.'), "{}", check.id);
        }
    }

    #[test]
    fn formats_get_one_more_member() {
        for (format, longer) in [
            (r#"{"a":"$context.status"}"#, Some(r#"{"a":"$context.status","n":"$v"}"#)),
            ("{ \"a\": \"b\"\n}\n", Some("{ \"a\": \"b\",\"n\":\"$v\"}")),
            ("{}", Some(r#"{"n":"$v"}"#)),
            ("$context.status $context.path", Some("$context.status $context.path $v")),
            ("<request>$context.status</request>", None),
        ] {
            assert_eq!(with_member(format, "n", "$v").as_deref(), longer, "{format}");
        }
    }

    #[test]
    fn every_reason_has_a_finding() {
        let names: Vec<&str> = include_str!("checks/registry.rs").split_whitespace().collect();
        assert_eq!(names.iter().filter(|name| name.ends_with(',')).count(), ALL.len());
        let sources = include_str!("../../../../docs/doctor.md");
        for code in trust::Code::ALL {
            assert!(sources.contains(&format!("`{}`", code.as_str())), "{code} is in no section");
        }
    }

    #[test]
    fn the_document_has_every_finding_in_order() {
        let document = include_str!("../../../../docs/doctor.md");
        let sections: Vec<&str> = document.lines().filter_map(|line| line.strip_prefix("### ")).collect();
        let ids: Vec<&str> = ALL.iter().map(|check| check.id).collect();
        assert_eq!(sections, ids);
        for check in ALL {
            let section = document.split(&format!("\n### {}\n", check.id)).nth(1).unwrap();
            let section = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
            assert!(section.contains(&format!("*{}.* {}.", check.severity.as_str(), check.about)), "{}", check.id);
        }
    }
}
