//! A stage has no access log.

use control::shell::quote;
use super::super::facts::Facts;
use super::super::settings::{Api, Stage};
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "access-log-off",
    severity: Severity::Warning,
    about: "A stage has no access log",
    why: "Nobody can tell afterwards who came, and who was turned away.",
    needs: Need::Settings,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    let stages = settings.apis.iter().flat_map(|api| api.stages.iter().map(move |stage| (api, stage)));
    let off = stages.filter(|(_, stage)| stage.log_format.is_none());
    let seen = |(api, stage): (&Api, &Stage)| {
        let (what, fix) = (
            format!("{} ({}), stage {}, writes no access log.", api.name, api.id, stage.name),
            "Make a log group, and name it with a format that has the client's certificate.",
        );
        let command = match api.is_rest {
            true => format!(
                "aws apigateway update-stage --rest-api-id {} --stage-name {} --patch-operations \
                 op=replace,path=/accessLogSettings/destinationArn,value=ARN \
                 'op=replace,path=/accessLogSettings/format,value=FORMAT'",
                api.id,
                quote(&stage.name)
            ),
            false => format!(
                "aws apigatewayv2 update-stage --api-id {} --stage-name {} --access-log-settings \
                 file://access-log.json",
                api.id,
                quote(&stage.name)
            ),
        };
        Seen::new(what, fix).command(format!("aws logs create-log-group --log-group-name /{}", api.id)).command(command)
    };
    off.map(seen).collect()
}
