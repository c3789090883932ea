//! Routes that a function lets somebody call: Lambda authorizers.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use model::mapping::Mapping;
use model::snapshot::{Dialect, FunctionAuthorizer, Told};
use model::template::{Variable, value_of};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use trust::UnixSeconds;

use super::Place;
use super::denial::Denial;
use super::policy::Decision;
use super::remembered::{Answered, Failure, IdentityDigest};
use super::verdict::{Form, Verdict};
use crate::answer::Answer;
use crate::lambda::event::{self, Asked};
use crate::lambda::{InvokeError, invoke};
use crate::mapping::Values;
use crate::record::Record;
use crate::runtime::Runtime;

/// How long an authorizer may take: AWS's limit.
const TIME: Duration = Duration::from_secs(10);
/// Percent-encoded in a segment of the path of an ARN.
const IN_ARN: &AsciiSet = &CONTROLS.add(b'%').add(b'*').add(b'/').add(b'?');
/// The error by which an authorizer of a REST API says 401.
const UNAUTHORIZED: &str = "Unauthorized";

/// Asks the function, unless it is known what it says.
pub(super) async fn authorize(
    runtime: &Rc<Runtime>,
    record: &mut Record,
    authorizer: &FunctionAuthorizer,
    place: &Place<'_>,
) -> Result<Rc<Verdict>, Answer> {
    let identity = identity(authorizer, record, place).map_err(|denial| record.deny(denial))?;
    let arn = route_arn(record, place);
    let verdict = match authorizer.remembers() {
        true => remembered(runtime, record, authorizer, place, &identity, &arn).await,
        false => ask(runtime, record, authorizer, place, &identity, &arn).await,
    };
    let verdict = verdict.map_err(|failure| match failure {
        Failure::Unauthorized => record.deny(Denial::FunctionUnauthorized),
        Failure::NoAnswer(why) => record.authorizer_failed(&why),
    })?;
    match verdict.decide(&arn) {
        Decision::Allowed => Ok(verdict),
        Decision::Denied => Err(record.deny(Denial::FunctionDenied)),
        Decision::NotAllowed => Err(record.deny(Denial::FunctionNotAllowed)),
    }
}

/// What the request shows at each identity source. Where one has nothing, or no token of the right form, nobody is asked.
fn identity(authorizer: &FunctionAuthorizer, record: &Record, place: &Place<'_>) -> Result<Vec<String>, Denial> {
    let values = Values::of_request(place.parts, place.rest, place.variables, record);
    let none = Mapping::default();
    let shown = authorizer.sources.iter().map(|source| values.piece(source, &none).into_owned());
    let shown: Vec<String> = shown.collect();
    if shown.iter().any(String::is_empty) {
        return Err(Denial::IdentityMissing);
    }
    match &authorizer.told {
        Told::Token(Some(pattern)) if !shown.iter().all(|token| pattern.fits(token)) => Err(Denial::IdentityMalformed),
        _ => Ok(shown),
    }
}

/// `arn:aws:execute-api:REGION:ACCOUNT:API/STAGE/METHOD/PATH`
pub(super) fn route_arn(record: &Record, place: &Place<'_>) -> String {
    let account = value_of(&Variable::AccountId, None, record).unwrap_or_default();
    let (stage, method) = (place.stage, &place.parts.method);
    let path = path_of_arn(place.rest);
    format!("arn:aws:execute-api:{}:{account}:{}/{}/{method}{path}", stage.region, stage.api_id, stage.name)
}

/// A path as the router reads it, so that no other spelling of it slips by what a policy says. What would stand for any text,
/// or for more of the path, stays encoded: a function may say that just this ARN is allowed, and means no more.
fn path_of_arn(rest: &str) -> String {
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    rest.split('/').fold(String::with_capacity(rest.len() + 1), |mut path, segment| {
        path.push('/');
        match percent_decode_str(segment).decode_utf8() {
            Ok(text) => path.extend(utf8_percent_encode(&text, IN_ARN)),
            // The router takes it as it is.
            Err(_) => path.push_str(&segment.replace('*', "%2A")),
        }
        path
    })
}

/// By what was said before, or is being said; else the function is asked, and its answer holds for a while.
async fn remembered(
    runtime: &Rc<Runtime>,
    record: &Record,
    authorizer: &FunctionAuthorizer,
    place: &Place<'_>,
    identity: &[String],
    arn: &str,
) -> Result<Rc<Verdict>, Failure> {
    let digest = digest(authorizer, record, place, identity);
    let slot = runtime.verdicts.slot(&digest, runtime.now_seconds());
    let asked_here = Cell::new(false);
    let answered = slot.get_or_init(|| async {
        let verdict = ask(runtime, record, authorizer, place, identity, arn).await;
        asked_here.set(true);
        Answered { verdict, until: runtime.now_seconds().saturating_add(UnixSeconds::from(authorizer.ttl_seconds)) }
    });
    let Answered { verdict, .. } = answered.await.clone();
    if asked_here.get() {
        runtime.verdicts.filled(&digest, &slot);
    }
    verdict
}

/// Of an authorizer with all its settings, what the request shows, and the client's certificate where the domain asks for one:
/// with another certificate it is another client.
fn digest(authorizer: &FunctionAuthorizer, record: &Record, place: &Place<'_>, identity: &[String]) -> IdentityDigest {
    let certificate = record.domain.trust.as_ref().and_then(|_| record.client.chain.leaf_sha256());
    let settings = [&place.stage.api_id, &place.stage.name, &authorizer.id, &authorizer.function.arn];
    let told = match authorizer.told {
        Told::Request(format) => format as u8,
        Told::Token(_) => u8::MAX,
    };
    let form = [u8::from(authorizer.simple_responses), told];
    let mut context = Context::new(&SHA256);
    let mut update = |part: &[u8]| {
        // With its length before it, no other parts read the same.
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    };
    update(&form);
    // What was said before a flush is not found again.
    update(&place.stage.authorizers_flushed().to_le_bytes());
    update(certificate.as_ref().map_or(&[], |sha256| &sha256[..]));
    settings.into_iter().chain(identity).for_each(|part| update(part.as_bytes()));
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

async fn ask(
    runtime: &Rc<Runtime>,
    record: &Record,
    authorizer: &FunctionAuthorizer,
    place: &Place<'_>,
    identity: &[String],
    arn: &str,
) -> Result<Rc<Verdict>, Failure> {
    let no_answer = |why: &str| Failure::NoAnswer(why.into());
    let event = event_for(record, authorizer, place, identity, arn);
    let event = event.map_err(|_| no_answer("the authorizer's event cannot be written"))?;
    let invoked = invoke(runtime, &authorizer.function, event.into(), TIME).await.map_err(|error| match error {
        InvokeError::TimedOut => no_answer("the authorizer did not answer in time"),
        InvokeError::NoEndpoint => no_answer(InvokeError::NO_ENDPOINT),
        InvokeError::Failed(why) => no_answer(&why),
    })?;
    let form = match place.stage.dialect {
        Dialect::Rest if invoked.has_failed_with(UNAUTHORIZED) => return Err(Failure::Unauthorized),
        Dialect::Rest => Form::RestPolicy,
        Dialect::Http if authorizer.simple_responses => Form::Simple,
        Dialect::Http => Form::Policy,
    };
    let returned = invoked.returned().map_err(|why| no_answer(&why))?;
    Verdict::read(returned, form).map(Rc::new).map_err(no_answer)
}

/// What the function is told.
fn event_for(
    record: &Record,
    authorizer: &FunctionAuthorizer,
    place: &Place<'_>,
    identity: &[String],
    arn: &str,
) -> serde_json::Result<Vec<u8>> {
    let format = match authorizer.told {
        Told::Request(format) => format,
        Told::Token(_) => return event::of_token(arn, &identity.concat()),
    };
    let Place { stage, parts, rest, variables } = *place;
    let headers = event::headers(parts, &Mapping::default(), record);
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let asked = Asked {
        record,
        stage,
        method: &parts.method,
        headers: &headers,
        path: &event::path(format, record, stage, parts.uri.path(), rest),
        query: parts.uri.query().unwrap_or_default(),
        variables: &variables,
    };
    event::of_authorizer(format, &asked, arn, identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling_in_an_arn() {
        for (rest, wanted) in [
            ("", "/"),
            ("/", "/"),
            ("/admin/7", "/admin/7"),
            ("/%61dmin/%37", "/admin/7"),
            ("/a%3Ab/a:b", "/a:b/a:b"),
            ("/a%2fb", "/a%2Fb"),
            ("/*/%2A/%3f", "/%2A/%2A/%3F"),
            ("/100%25/%2525", "/100%25/%2525"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/%ff*", "/%ff%2A"),
            ("/a//b/", "/a//b/"),
        ] {
            assert_eq!(path_of_arn(rest), wanted, "{rest}");
        }
    }
}
