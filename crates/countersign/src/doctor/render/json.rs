//! For programs.

use serde::Serialize;

use super::super::diagnosis::Diagnosis;
use super::super::facts::Facts;
use super::super::fix::Fixed;
use super::super::judge::Verdict;
use super::super::probe::Visit;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    url: &'a str,
    address: &'a str,
    /// Causes, each with its consequences.
    findings: &'a [super::super::diagnosis::Cause],
    skipped: &'a [super::super::diagnosis::Skipped],
    fixed: &'a [Fixed],
    seen: Seen,
    settings_error: Option<&'a str>,
}

/// What was seen, whether or not it is wrong.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Seen {
    tls: Option<Tls>,
    /// What the server did to whom.
    without_certificate: String,
    with_certificate: Option<String>,
    with_a_strangers: Option<String>,
    with_an_impostors: Option<String>,
    without_server_name: Option<String>,
    with_unknown_server_name: Option<String>,
    foreign_host: Option<String>,
    execute_api: Option<String>,
    /// `accepted`, or a reason.
    judged: Option<String>,
    connections: usize,
    milliseconds: u128,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tls {
    versions: Vec<&'static str>,
    cipher: Option<String>,
    key_exchange: Option<String>,
    alpn: Vec<String>,
    server: Option<String>,
    server_expires: Option<String>,
    asks_for_certificate: bool,
    ca_names: Vec<String>,
    ca_names_bytes: usize,
    resumes: Option<bool>,
}

/// Names of authorities that are told.
const MAX_NAMES: usize = 20;

pub(super) fn render(facts: &Facts, diagnosis: &Diagnosis, fixed: &[Fixed]) -> String {
    let report = Report {
        url: &facts.target.url,
        address: &facts.address,
        findings: &diagnosis.causes,
        skipped: &diagnosis.skipped,
        fixed,
        seen: Seen::of(facts),
        settings_error: facts.settings_error.as_deref(),
    };
    serde_json::to_string_pretty(&report).expect("plain data with string keys")
}

impl Seen {
    pub(super) fn of(facts: &Facts) -> Self {
        let live = &facts.live;
        let words = |visit: &Option<Visit>| visit.as_ref().map(|visit| visit.ended.words());
        Self {
            tls: live.is_tls().then(|| Tls::of(facts)),
            without_certificate: live.anonymous.ended.words(),
            with_certificate: words(&live.given),
            with_a_strangers: words(&live.stranger),
            with_an_impostors: words(&live.impostor),
            without_server_name: words(&live.no_name),
            with_unknown_server_name: words(&live.unknown_name),
            foreign_host: words(&live.foreign_host),
            execute_api: live.back_doors.first().map(|(_, visit)| visit.ended.words()),
            judged: facts.verdict.as_ref().and_then(|verdict| match verdict {
                Verdict::Accepted(_) => Some("accepted".to_owned()),
                Verdict::Refused(refused) => Some(refused.code.as_str().to_owned()),
                Verdict::Sound => None,
            }),
            connections: live.connections,
            milliseconds: live.elapsed.as_millis(),
        }
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(tls) = &self.tls {
            let parts = [Some(tls.versions.join(", ")), tls.cipher.clone(), tls.key_exchange.clone()];
            let alpn = if tls.alpn.is_empty() { "no ALPN".to_owned() } else { tls.alpn.join(", ") };
            let parts: Vec<String> = parts.into_iter().flatten().chain([alpn]).collect();
            lines.push(format!("TLS: {}", parts.join("; ")));
            if let (Some(server), Some(expires)) = (&tls.server, &tls.server_expires) {
                lines.push(format!("server: {server}, until {expires}"));
            }
            lines.push(match (tls.asks_for_certificate, tls.ca_names.len()) {
                (false, _) => "client certificates: not asked for".to_owned(),
                (true, 0) => "client certificates: asked for, without naming authorities".to_owned(),
                (true, _) => format!(
                    "client certificates: asked for, of {} ({} bytes of names)",
                    tls.ca_names.join("; "),
                    tls.ca_names_bytes
                ),
            });
        }
        let outcomes = [
            ("without a certificate", Some(&self.without_certificate)),
            ("with the given certificate", self.with_certificate.as_ref()),
            ("with a stranger's", self.with_a_strangers.as_ref()),
            ("with an impostor's", self.with_an_impostors.as_ref()),
            ("without a server name", self.without_server_name.as_ref()),
            ("with an unknown server name", self.with_unknown_server_name.as_ref()),
            ("asked for another host", self.foreign_host.as_ref()),
            ("at the execute-api endpoint", self.execute_api.as_ref()),
        ];
        let told = |(what, words): (&str, Option<&String>)| words.map(|words| format!("{what}: it {words}"));
        lines.extend(outcomes.into_iter().filter_map(told));
        if let Some(judged) = &self.judged {
            lines.push(format!("the judge says of the given certificate: {judged}"));
        }
        lines.push(format!("{} connections, {} ms", self.connections, self.milliseconds));
        lines
    }
}

impl Tls {
    fn of(facts: &Facts) -> Self {
        let live = &facts.live;
        let spoken = |visit: &Option<Visit>| visit.as_ref().is_some_and(|visit| visit.handshake.is_some());
        let mut versions: Vec<&'static str> = live.old_versions.iter().map(|hello| hello.version_name()).collect();
        versions.extend(spoken(&live.tls12).then_some("TLS 1.2"));
        versions.extend(spoken(&live.tls13).then_some("TLS 1.3"));
        let handshakes = [&live.tls13, &live.tls12].into_iter().flatten().filter_map(|visit| visit.handshake.as_ref());
        let mut handshakes: Vec<_> = handshakes.chain(live.anonymous.handshake.as_ref()).collect();
        let first = handshakes.first().copied();
        let mut alpn: Vec<String> = handshakes.drain(..).filter_map(|handshake| handshake.alpn.clone()).collect();
        alpn.sort_unstable();
        alpn.dedup();
        let request = live.request();
        let names = request.map_or(&[][..], |request| &request.names);
        let resumed = [&live.anonymous_again, &live.stranger_again, &live.carried];
        let resumed: Vec<bool> = resumed.into_iter().flatten().map(Visit::is_resumed).collect();
        Self {
            versions,
            cipher: first.map(|handshake| handshake.cipher.clone()),
            key_exchange: first.and_then(|handshake| Some(format!("{:?}", handshake.group?))),
            alpn,
            server: facts.server().map(|certificate| certificate.subject().to_owned()),
            server_expires: facts.server().map(|certificate| when(certificate.not_after())),
            asks_for_certificate: request.is_some(),
            ca_names: names.iter().take(MAX_NAMES).map(|name| super::super::probe::name_text(name)).collect(),
            ca_names_bytes: request.map_or(0, |request| request.names_bytes()),
            resumes: (!resumed.is_empty()).then(|| resumed.contains(&true)),
        }
    }
}

fn when(at: i64) -> String {
    use time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::from_unix_timestamp(at).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| at.to_string())
}
