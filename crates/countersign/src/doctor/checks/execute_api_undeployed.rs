//! An API's execute-api endpoint is disabled, and still open.

use control::shell::quote;
use super::super::facts::Facts;
use super::super::settings::Api;
use super::{Check, Need, Remedy, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "execute-api-undeployed",
    severity: Severity::Error,
    about: "An API's execute-api endpoint is disabled, and still open",
    why: "The setting takes effect with the stage's next deployment, as on AWS.",
    needs: Need::Settings,
    causes: &["mutual-tls-off"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    let seen = |api: &Api| {
        let (door, visit) = facts.live.back_doors.iter().find(|(door, _)| door.api == api.id)?;
        // 404 is what a closed endpoint answers on AWS.
        let answer = visit.answer().filter(|answer| api.is_closed && visit.is_served() && answer.status != 404)?;
        let stages: Vec<String> = api.stages.iter().map(|stage| stage.name.clone()).collect();
        let command = match api.is_rest {
            true => "aws apigateway create-deployment --rest-api-id",
            false => "aws apigatewayv2 create-deployment --api-id",
        };
        let seen = Seen::new(
            format!(
                "That of {} ({}) is disabled, and {} answers {} without a certificate.",
                api.name, api.id, door.host, answer.status
            ),
            "Deploy the stage.",
        );
        let commands = stages.iter().map(|stage| format!("{command} {} --stage-name {}", api.id, quote(stage)));
        let seen = commands.fold(seen, Seen::command);
        Some(seen.remedy(Remedy::Deploy { api: api.id.clone(), is_rest: api.is_rest, stages }))
    };
    settings.apis.iter().filter_map(seen).collect()
}
