//! Records of what is done to the settings, and tried: who, by which call, with what outcome.
//!
//! A change is recorded in `required` mode: its intent is on disk before it is made, what became of it before that is answered. A
//! change cannot be made without saying [`By`] whom ([`Settings::change`](crate::Settings::change)), so none is made without a
//! record. What a call could not do is recorded when it is answered ([`crate::dispatch`]), what strangers try in bounds
//! ([`strangers`]).

pub(crate) mod resource;
mod strangers;
mod totals;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws::{Caller, Error};
use http::StatusCode;
use journal::{Journal, Outcome, RulesChange, SETTINGS_GROUP, SettingsRecord, Truststore, TruststoreChange};
use model::resource::{Domain, NamedObject};
use model::{Change, Resource, Revision, State, UnixMillis};

pub use strangers::Stranger;
use strangers::Strangers;
use totals::Totals;

/// Principal of what the server does by itself.
const SERVER: &str = "countersign";

/// Who changes something.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// Somebody who called an operation.
    Caller(&'a Caller),
    /// The server itself, which does what the name says.
    Server(&'static str),
}

impl<'a> From<&'a Caller> for By<'a> {
    fn from(caller: &'a Caller) -> Self {
        Self::Caller(caller)
    }
}

/// Writes the records. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Trail {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    journal: Journal,
    clock: fn() -> UnixMillis,
    totals: Totals,
    strangers: Strangers,
    /// The last intent could not be recorded.
    failing: AtomicBool,
}

/// A change that is about to be made, or was tried: a record without its outcome.
#[derive(Clone, Debug)]
pub(crate) struct Attempt(SettingsRecord<'static>);

impl Trail {
    pub(crate) fn new(journal: Journal, clock: fn() -> UnixMillis) -> Self {
        let shared = Shared {
            journal,
            clock,
            totals: Totals::default(),
            strangers: Strangers::default(),
            failing: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether changes are refused because they cannot be recorded.
    pub(crate) fn is_failing(&self) -> bool {
        self.shared.failing.load(Ordering::Relaxed)
    }

    /// Has the intent on disk. Where that fails, the change must not be made.
    pub(crate) async fn intend(&self, attempt: &Attempt) -> Result<(), Error> {
        let written = self.shared.journal.append_settings(&[self.record(attempt, Outcome::Intent)]).await;
        self.shared.failing.store(written.is_err(), Ordering::Relaxed);
        written.map_err(|e| {
            let error = unavailable(format!("The change was not made, because it could not be recorded: {e}"));
            // The disk may take the intent later; it is not to look like a change of which nobody knows what became.
            let ended = self.record(attempt, Outcome::of(&error));
            let _ = self.shared.journal.note_settings(&[ended]);
            self.shared.totals.count(attempt.service(), "failed");
            error
        })
    }

    /// Has on disk what became of it. The error is for a caller whose change was made.
    pub(crate) async fn complete(&self, attempt: &Attempt, outcome: Outcome<'static>) -> Result<(), Error> {
        self.shared.totals.count(attempt.service(), name(&outcome));
        let written = self.shared.journal.append_settings(&[self.record(attempt, outcome)]).await;
        written.map_err(|e| unavailable(format!("The change was made, but that could not be recorded: {e}")))
    }

    /// Records what became of a call that has changed nothing.
    pub(crate) async fn note(&self, attempt: &Attempt, outcome: Outcome<'static>) {
        // Nothing has happened that would have to be undone; health says that records are not written.
        let _ = self.complete(attempt, outcome).await;
    }

    /// Records, in bounds, that somebody has not proved who they are.
    pub(crate) fn refuse(&self, stranger: Stranger<'_>) {
        let shared = &self.shared;
        shared.totals.count(stranger.service, "unauthenticated");
        for record in shared.strangers.refuse(&stranger, (shared.clock)()) {
            let _ = shared.journal.note_settings(&[record]);
        }
    }

    /// Records what was counted of strangers whose time is up. To be called now and then.
    pub(crate) fn tell_of_strangers(&self, all: bool) {
        let now = if all { UnixMillis::MAX } else { (self.shared.clock)() };
        let told = self.shared.strangers.ended(now, (self.shared.clock)());
        if !told.is_empty() {
            let _ = self.shared.journal.note_settings(&told);
        }
    }

    /// How many changes there were, by service and outcome.
    pub(crate) fn totals(&self) -> Vec<((&'static str, &'static str), u64)> {
        self.shared.totals.all()
    }

    fn record(&self, attempt: &Attempt, outcome: Outcome<'static>) -> SettingsRecord<'static> {
        let record = attempt.0.clone();
        // Only what was made has an after.
        let revision_after = record.revision_after.filter(|_| outcome == Outcome::Allowed);
        SettingsRecord { time_ms: (self.shared.clock)(), outcome, revision_after, ..record }
    }
}

impl Attempt {
    /// Of whom, on which revision.
    pub(crate) fn new(by: By<'_>, revision: Revision) -> Self {
        let blank = blank(revision);
        Self(match by {
            By::Caller(caller) => {
                caller.recorded.store(true, Ordering::Relaxed);
                SettingsRecord {
                    stream: caller.service.into(),
                    principal: caller.arn.clone().into(),
                    access_key_id: caller.access_key_id.clone().into(),
                    source: Some(caller.source_ip),
                    user_agent: caller.user_agent.clone().into(),
                    service: caller.service.into(),
                    operation: caller.operation.into(),
                    resource: caller.resource.clone().into(),
                    region: caller.region.clone().into(),
                    request_id: caller.request_id.clone().into(),
                    ..blank
                }
            }
            By::Server(operation) => SettingsRecord {
                principal: SERVER.into(),
                operation: operation.into(),
                // Without random bytes a record has no id, and is found by its revision.
                request_id: crate::ids::uuid().unwrap_or_default().into(),
                ..blank
            },
        })
    }

    /// Of a write to S3.
    pub(crate) fn of_s3(write: &crate::s3::Write, revision: Revision) -> Self {
        Self(SettingsRecord {
            stream: "s3".into(),
            principal: write.principal.clone().into(),
            access_key_id: write.access_key_id.clone().into(),
            source: write.source,
            user_agent: write.user_agent.clone().into(),
            service: "s3".into(),
            operation: write.operation.clone().into(),
            resource: write.resource.clone().into(),
            request_id: write.request_id.clone().into(),
            ..blank(revision)
        })
    }

    /// Which makes these changes of `state`.
    pub(crate) fn making(mut self, state: &State, changes: &[Change]) -> Self {
        let mut after = state.clone();
        // What cannot be applied cannot be committed either.
        if after.apply(state.revision + 1, changes).is_ok() {
            let domains = changes.iter().filter(|change| change.key.kind() == Domain::KIND);
            let domains = domains.filter_map(|change| change.key.as_str().split_once('/').map(|(_, name)| name));
            for name in domains {
                self.0.truststores.extend(truststore_change(name, state, &after));
                self.0.rules.extend(rules_change(name, state, &after));
            }
        }
        self.0.changed = changes.iter().map(|change| Cow::Owned(change.key.as_str().to_owned())).collect();
        self.0.revision_after = Some(state.revision + 1);
        self
    }

    /// Which changes things that are no resources of the settings.
    pub(crate) fn changing(mut self, what: impl IntoIterator<Item = String>) -> Self {
        self.0.changed = what.into_iter().map(Cow::Owned).collect();
        self
    }

    fn service(&self) -> &str {
        &self.0.service
    }
}

/// What an error says of a change.
pub(crate) trait OfError {
    fn of(error: &Error) -> Self;
}

impl OfError for Outcome<'static> {
    fn of(error: &Error) -> Self {
        outcome(error.status, error.code, error.message.clone())
    }
}

/// Who asked for what cannot be is denied; trouble of this server's own is a failure.
pub(crate) fn outcome(
    status: StatusCode,
    code: impl Into<Cow<'static, str>>,
    message: impl Into<Cow<'static, str>>,
) -> Outcome<'static> {
    let (code, message) = (code.into(), message.into());
    match status.is_server_error() {
        true => Outcome::Failed { code, message },
        false => Outcome::Denied { code, message },
    }
}

fn name(outcome: &Outcome<'_>) -> &'static str {
    match outcome {
        Outcome::Intent => "intent",
        Outcome::Allowed => "allowed",
        Outcome::Denied { .. } => "denied",
        Outcome::Failed { .. } => "failed",
    }
}

fn truststore_change(name: &str, before: &State, after: &State) -> Option<TruststoreChange<'static>> {
    let of = |state: &State| {
        let object: Option<NamedObject> = state.domains.get(name).and_then(|domain| domain.mutual_tls.clone());
        object.map(|object| Truststore { digest: object.digest.into(), version: Some(object.read_version.into()) })
    };
    let (before, after) = (of(before), of(after));
    (before != after).then(|| TruststoreChange { domain: name.to_owned().into(), before, after })
}

/// A domain that is new or gone had or has no rules.
fn rules_change(name: &str, before: &State, after: &State) -> Option<RulesChange> {
    let of = |state: &State| -> BTreeMap<String, String> {
        let tags = state.domains.get(name).map(|domain| domain.tags.clone()).unwrap_or_default();
        tags.into_iter().filter(|(name, _)| name.starts_with("countersign:")).collect()
    };
    let (before, after) = (of(before), of(after));
    (before != after).then(|| RulesChange { domain: name.to_owned(), before, after })
}

/// 503: the form that AWS's services share.
fn unavailable(message: String) -> Error {
    Error::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", message)
}

fn blank(revision: Revision) -> SettingsRecord<'static> {
    SettingsRecord {
        time_ms: 0,
        group: SETTINGS_GROUP.into(),
        stream: SERVER.into(),
        outcome: Outcome::Intent,
        principal: "".into(),
        access_key_id: "".into(),
        source: None::<IpAddr>,
        user_agent: "".into(),
        service: SERVER.into(),
        operation: "".into(),
        resource: "".into(),
        region: "".into(),
        request_id: "".into(),
        revision_before: revision,
        revision_after: None,
        changed: Vec::new(),
        changed_more: 0,
        truststores: Vec::new(),
        rules: Vec::new(),
        calls: None,
    }
}
