//! A stage's access log lacks the client's certificate.

use super::super::facts::Facts;
use super::super::settings::{Api, Stage};
use super::{Check, Need, Remedy, Seen, Severity, with_member};

const CLIENT: &str = "$context.identity.clientCert";
const SUBJECT: &str = "$context.identity.clientCert.subjectDN";

pub(super) const CHECK: Check = Check {
    id: "access-log-client",
    severity: Severity::Warning,
    about: "A stage's access log lacks the client's certificate",
    why: "The log then says when, but not who: an audit trail has to have both.",
    needs: Need::Settings,
    causes: &["access-log-off"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    let stages = settings.apis.iter().flat_map(|api| api.stages.iter().map(move |stage| (api, stage)));
    let lacking = stages.filter_map(|(api, stage)| Some((api, stage, stage.log_format.as_ref()?)));
    let lacking = lacking.filter(|(_, _, format)| !format.contains(CLIENT));
    let seen = |(api, stage, format): (&Api, &Stage, &String)| {
        let of = format!("{} ({}), stage {}", api.name, api.id, stage.name);
        let seen = Seen::new(
            format!("The format of {of}, has no {CLIENT}."),
            "Add $context.identity.clientCert.subjectDN (and .serialNumber, .issuerDN) to the format.",
        );
        match (with_member(format, "clientCertSubjectDN", SUBJECT), &stage.log_destination) {
            (Some(format), Some(destination)) => seen.remedy(Remedy::LogFormat {
                api: api.id.clone(),
                is_rest: api.is_rest,
                stage: stage.name.clone(),
                destination: destination.clone(),
                format,
            }),
            _ => seen,
        }
    };
    lacking.map(seen).collect()
}
