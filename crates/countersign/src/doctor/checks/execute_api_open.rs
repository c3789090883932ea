//! An API behind the domain is reached past it, at its execute-api endpoint.

use control::shell::quote;
use super::super::facts::Facts;
use super::super::settings::Api;
use super::{Check, Need, Remedy, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "execute-api-open",
    severity: Severity::Error,
    about: "An API behind the domain is reached past it, at its execute-api endpoint",
    why: "That endpoint knows nothing of the domain's mutual TLS: everybody may call.",
    needs: Need::Settings,
    causes: &["mutual-tls-off"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    let open = |api: &&Api| !api.is_closed;
    let seen = |api: &Api| {
        let door = facts.live.back_doors.iter().find(|(door, _)| door.api == api.id);
        let did = door.map(|(door, visit)| format!(" Without a certificate, {} {}.", door.host, visit.ended.words()));
        let stages: Vec<String> = api.stages.iter().filter(|s| !s.deploys_itself).map(|s| s.name.clone()).collect();
        let seen = Seen::new(
            format!("{} ({}) has DisableExecuteApiEndpoint false.{}", api.name, api.id, did.unwrap_or_default()),
            "Disable the endpoint and deploy: on AWS, too, it stays open until the stage is deployed again.",
        );
        let seen = commands(api, &stages).into_iter().fold(seen, Seen::command);
        seen.remedy(Remedy::CloseEndpoint { api: api.id.clone(), is_rest: api.is_rest, stages })
    };
    settings.apis.iter().filter(open).map(seen).collect()
}

fn commands(api: &Api, stages: &[String]) -> Vec<String> {
    let (disable, deploy) = match api.is_rest {
        true => (
            format!(
                "aws apigateway update-rest-api --rest-api-id {} \
                 --patch-operations op=replace,path=/disableExecuteApiEndpoint,value=true",
                api.id
            ),
            format!("aws apigateway create-deployment --rest-api-id {}", api.id),
        ),
        false => (
            format!("aws apigatewayv2 update-api --api-id {} --disable-execute-api-endpoint", api.id),
            format!("aws apigatewayv2 create-deployment --api-id {}", api.id),
        ),
    };
    std::iter::once(disable).chain(stages.iter().map(|stage| format!("{deploy} --stage-name {}", quote(stage)))).collect()
}
