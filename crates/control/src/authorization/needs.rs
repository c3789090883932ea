//! Which actions on which resources an operation needs: AWS's names for both.
//!
//! Source: "Service Authorization Reference", of each service: "Actions, resources, and condition keys".

use aws::{Asked, Caller, Error, Operation, Service};
use model::State;
use model::resource::Tags;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

/// What a call asks for.
pub(crate) struct Call<'a> {
    pub(crate) service: &'a Service,
    pub(crate) operation: &'static Operation,
    pub(crate) input: &'a Map<String, Value>,
    pub(crate) caller: &'a Caller,
    pub(crate) state: &'a State,
}

/// An action, on a resource by all names that policies may call it by.
#[derive(Debug, PartialEq)]
struct Need {
    action: String,
    resources: Vec<String>,
}

/// As AWS encodes an ARN in a path.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Stands for a truststore that is not named.
const ANY: &str = "*";
/// Tags with this prefix change what is enforced.
pub(crate) const EXTENSION: &str = "countersign:";
/// What it takes to set them, besides the right to tag.
pub(crate) const SET_POLICY: &str = "countersign:SetPolicy";

impl Call<'_> {
    /// Refuses a caller who may not do all that the call does.
    pub(crate) fn authorize(&self) -> Result<(), Error> {
        for Need { action, resources } in self.needs() {
            let names: Vec<&str> = resources.iter().map(String::as_str).collect();
            let context = self.context(&resources);
            self.caller.authority.authorize(&Asked { action: &action, resources: &names, context: &context })?;
        }
        Ok(())
    }

    fn needs(&self) -> Vec<Need> {
        let named = format!("{}:{}", self.service.signing_name, self.operation.name);
        let one = |resources| vec![Need { action: named.clone(), resources }];
        match self.service.signing_name {
            "apigateway" => self.of_api_gateway(),
            "acm" => one(vec![self.certificate()]),
            "iam" => one(self.identity()),
            "logs" => {
                self.log_groups().into_iter().map(|resources| Need { action: named.clone(), resources }).collect()
            }
            "route53" => one(vec![self.hosted_zone()]),
            "sts" => match self.operation.name {
                // AWS asks no policy about these; whose roles may be assumed, both sides' policies say (sts::assume_role).
                "AssumeRole" | "GetCallerIdentity" | "GetSessionToken" => Vec::new(),
                "GetFederationToken" => {
                    let name = self.text("Name").unwrap_or_default();
                    one(vec![format!("arn:aws:sts::{}:federated-user/{name}", self.caller.account)])
                }
                _ => one(vec!["*".to_owned()]),
            },
            _ => one(vec!["*".to_owned()]),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.input.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// API Gateway's actions are HTTP's methods, and its resources paths.
    fn of_api_gateway(&self) -> Vec<Need> {
        let Caller { region, account, .. } = self.caller;
        let arn = |path: &str| format!("arn:aws:apigateway:{region}::{path}");
        let path = self.path();
        let (mut action, mut resources) = (self.operation.method.to_owned(), vec![arn(&path)]);
        let mut on = arn(&path);
        if let Some(tagged) = path.strip_prefix("/tags/") {
            on = tagged.to_owned();
            resources = vec![arn(&format!("/tags/{}", utf8_percent_encode(tagged, IN_PATH))), arn(&path)];
        } else if path.contains("/routingrules") {
            action = self.operation.name.to_owned();
            let all = if path.ends_with("/routingrules") { "/*" } else { "" };
            resources = vec![format!("arn:aws:apigateway:{region}:{account}:{path}{all}")];
        }
        let need = |action: &str, resources| Need { action: action.to_owned(), resources };
        let mut needs = vec![need(&format!("apigateway:{action}"), resources)];
        for truststore in self.truststores() {
            let action = match truststore {
                "" => "apigateway:RemoveCertificateFromDomain",
                _ => "apigateway:AddCertificateToDomain",
            };
            needs.push(need(action, vec![arn(&path)]));
        }
        if self.tag_keys().iter().any(|key| key.starts_with(EXTENSION)) {
            needs.push(need(SET_POLICY, vec![on]));
        }
        needs
    }

    /// The path as the input names it: however it was encoded, one resource has one name.
    fn path(&self) -> String {
        let template = self.operation.path.split('?').next().unwrap_or_default();
        let template = template.strip_prefix("/v2").unwrap_or(template);
        let segments = template.split('/').map(|segment| {
            let label = segment.strip_prefix('{').and_then(|label| label.strip_suffix('}'));
            label.map_or(segment, |label| self.input.get(label).and_then(Value::as_str).unwrap_or_default())
        });
        segments.collect::<Vec<_>>().join("/")
    }

    /// The truststores that a domain is to have; empty: none any more. A version alone is another one of what is set.
    fn truststores(&self) -> Vec<&str> {
        if !["CreateDomainName", "UpdateDomainName"].contains(&self.operation.name) {
            return Vec::new();
        }
        let of_structure = || {
            let wanted = self.input.get("mutualTlsAuthentication")?.as_object()?;
            let uri = wanted.get("truststoreUri").map(|uri| uri.as_str().unwrap_or_default());
            uri.or_else(|| wanted.get("truststoreVersion").map(|_| ANY))
        };
        let patches = self.input.get("patchOperations").and_then(Value::as_array);
        of_structure().into_iter().chain(patches.into_iter().flatten().filter_map(truststore_of_patch)).collect()
    }

    fn certificate(&self) -> String {
        let Caller { region, account, .. } = self.caller;
        match (self.text("CertificateArn"), self.operation.name) {
            (Some(arn), _) => arn.to_owned(),
            (None, "ImportCertificate" | "RequestCertificate") => {
                format!("arn:aws:acm:{region}:{account}:certificate/*")
            }
            (None, _) => "*".to_owned(),
        }
    }

    /// Log groups are named with or without `:*` at their end.
    fn log_groups(&self) -> Vec<Vec<String>> {
        let Caller { region, account, .. } = self.caller;
        let names = |named: &str| {
            let arn = match named.strip_prefix("arn:") {
                Some(_) => named.strip_suffix(":*").unwrap_or(named).to_owned(),
                None => format!("arn:aws:logs:{region}:{account}:log-group:{named}"),
            };
            match self.text("logStreamName") {
                Some(stream) => vec![format!("{arn}:log-stream:{stream}")],
                None => vec![arn.clone(), format!("{arn}:*")],
            }
        };
        let one = ["logGroupName", "logGroupIdentifier", "resourceArn"].iter().find_map(|name| self.text(name));
        let several =
            ["logGroupNames", "logGroupIdentifiers"].iter().filter_map(|name| self.input.get(*name)?.as_array());
        let several = several.flatten().filter_map(Value::as_str);
        let all: Vec<Vec<String>> = one.into_iter().chain(several).map(names).collect();
        match self.operation.name {
            _ if !all.is_empty() => all,
            "DescribeLogGroups" => vec![vec![
                format!("arn:aws:logs:{region}:{account}:log-group::log-stream:"),
                format!("arn:aws:logs:{region}:{account}:log-group:*"),
            ]],
            _ => vec![vec!["*".to_owned()]],
        }
    }

    fn hosted_zone(&self) -> String {
        let id = |id: &str| id.rsplit('/').next().unwrap_or_default().to_owned();
        match (self.operation.name, self.text("Id").or(self.text("HostedZoneId")).or(self.text("ResourceId"))) {
            ("GetChange", Some(change)) => format!("arn:aws:route53:::change/{}", id(change)),
            (_, Some(zone)) => format!("arn:aws:route53:::hostedzone/{}", id(zone)),
            (_, None) => "*".to_owned(),
        }
    }

    /// The user, group, role or policy that an operation of IAM is about.
    fn identity(&self) -> Vec<String> {
        let (name, account) = (self.operation.name, &self.caller.account);
        let arn = |kind: &str, path: &str, name: &str| format!("arn:aws:iam::{account}:{kind}{path}{name}");
        let path_of =
            |known: Option<&String>| known.map_or_else(|| self.text("Path").unwrap_or("/"), String::as_str).to_owned();
        let state = self.state;
        if let Some(policy) = self
            .text("PolicyArn")
            .filter(|_| name.contains("Policy") && !name.contains("ttach") || name == "ListEntitiesForPolicy")
        {
            return vec![policy.to_owned()];
        }
        if let Some(source) = self.text("PolicySourceArn") {
            return vec![source.to_owned()];
        }
        if let Some(group) = self.text("GroupName") {
            return vec![arn("group", &path_of(state.groups.get(group).map(|group| &group.path)), group)];
        }
        if let Some(role) = self.text("RoleName") {
            return vec![arn("role", &path_of(state.roles.get(role).map(|role| &role.path)), role)];
        }
        if let Some(user) = self.text("UserName") {
            return vec![arn("user", &path_of(state.users.get(user).map(|user| &user.path)), user)];
        }
        if let Some(policy) = self.text("PolicyName").filter(|_| name == "CreatePolicy") {
            return vec![arn("policy", self.text("Path").unwrap_or("/"), policy)];
        }
        match name {
            "GetUser" | "CreateAccessKey" | "ListAccessKeys" | "UpdateAccessKey" | "DeleteAccessKey" => {
                vec![self.caller.arn.clone()]
            }
            "GetAccessKeyLastUsed" => self.owner_of_key(),
            "ListUsers" => vec![arn("user", "/", ""), "*".to_owned()],
            "ListGroups" => vec![arn("group", "/", ""), "*".to_owned()],
            "ListRoles" => vec![arn("role", "/", ""), "*".to_owned()],
            "ListPolicies" => vec![format!("arn:aws:iam::{account}:policy/"), "*".to_owned()],
            _ => vec!["*".to_owned()],
        }
    }

    fn owner_of_key(&self) -> Vec<String> {
        let key = self.text("AccessKeyId").and_then(|id| self.state.access_keys.get(id));
        vec![key.map_or_else(|| format!("arn:aws:iam::{}:user/", self.caller.account), |key| key.principal_arn.clone())]
    }

    /// What conditions find of the request and of the resource.
    fn context(&self, resources: &[String]) -> Vec<(String, Vec<String>)> {
        let mut context = Vec::new();
        for (name, value) in self.tags() {
            context.push((format!("aws:requesttag/{}", name.to_lowercase()), vec![value]));
        }
        let keys = self.tag_keys();
        if !keys.is_empty() {
            context.push(("aws:tagkeys".to_owned(), keys));
        }
        for (key, member) in [("iam:policyarn", "PolicyArn"), ("iam:permissionsboundary", "PermissionsBoundary")] {
            context.extend(self.text(member).map(|arn| (key.to_owned(), vec![arn.to_owned()])));
        }
        if let Some(uri) = self.truststores().into_iter().find(|uri| uri.starts_with("s3:")) {
            context.push(("apigateway:request/mtlstruststoreuri".to_owned(), vec![uri.to_owned()]));
        }
        for (name, value) in resources.first().and_then(|arn| tags_of(self.state, arn)).into_iter().flatten() {
            context.push((format!("aws:resourcetag/{}", name.to_lowercase()), vec![value.clone()]));
        }
        context
    }

    /// The tags that are to be set.
    fn tags(&self) -> Vec<(String, String)> {
        let tags = ["tags", "Tags"].iter().find_map(|name| self.input.get(*name));
        let text = |value: &Value, names: [&str; 2]| {
            names.iter().find_map(|name| value.get(name)?.as_str().map(str::to_owned))
        };
        match tags {
            Some(Value::Object(tags)) => {
                tags.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
            }
            Some(Value::Array(tags)) => tags
                .iter()
                .filter_map(|tag| Some((text(tag, ["Key", "key"])?, text(tag, ["Value", "value"]).unwrap_or_default())))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The names of tags that are to be set or removed.
    fn tag_keys(&self) -> Vec<String> {
        let removed = ["tagKeys", "TagKeys"].iter().filter_map(|name| self.input.get(*name)?.as_array()).flatten();
        let removed = removed.filter_map(Value::as_str).map(str::to_owned);
        self.tags().into_iter().map(|(name, _)| name).chain(removed).collect()
    }
}

fn truststore_of_patch(patch: &Value) -> Option<&str> {
    let text = |name: &str| patch.get(name).and_then(Value::as_str);
    let path = text("path")?.strip_prefix("/mutualTlsAuthentication")?;
    Some(match (path.ends_with("Version"), text("op")) {
        (true, _) => ANY,
        (false, Some("remove")) => "",
        (false, _) => text("value").unwrap_or_default(),
    })
}

/// The tags of the resource with an ARN.
fn tags_of<'s>(state: &'s State, arn: &str) -> Option<&'s Tags> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, service, region, _, resource] = parts[..] else { return None };
    match service {
        "acm" => state.certificates.get(arn).map(|certificate| &certificate.tags),
        "logs" => {
            let name = resource.strip_prefix("log-group:")?.split(':').next()?;
            State::one(&state.log_groups, region, name).map(|group| &group.tags)
        }
        "apigateway" => match resource.split('/').collect::<Vec<_>>()[..] {
            ["", "domainnames", name, ..] => state.domains.get(name).map(|domain| &domain.tags),
            ["", "apis", id, ..] => state.apis.get(id).map(|api| &api.tags),
            ["", "restapis", id, ..] => state.rest_apis.get(id).map(|api| &api.tags),
            ["", "tags", tagged] => {
                let tagged = percent_encoding::percent_decode_str(tagged).decode_utf8().ok()?;
                if tagged.contains(":/tags/") { None } else { tags_of(state, &tagged) }
            }
            _ => None,
        },
        "iam" => {
            let name = resource.rsplit('/').next()?;
            match resource.split('/').next()? {
                "user" => state.users.get(name).map(|user| &user.tags),
                "role" => state.roles.get(name).map(|role| &role.tags),
                "policy" => state.managed_policies.get(arn).map(|policy| &policy.tags),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::authorization::tests::caller;

    fn needs(service: &Service, operation: &str, input: &Value) -> Vec<(String, String)> {
        let (caller, state) = (caller("eu-west-1"), State::default());
        let (operation, input) = (service.operation(operation).unwrap(), input.as_object().unwrap());
        let call = Call { service, operation, input, caller: &caller, state: &state };
        call.needs().into_iter().map(|need| (need.action, need.resources[0].clone())).collect()
    }

    #[test]
    fn actions_and_resources_have_awss_names() {
        let (v1, v2, acm) = (&aws::apigateway::SERVICE, &aws::apigatewayv2::SERVICE, &aws::acm::SERVICE);
        let (iam, logs, sts) = (&aws::iam::SERVICE, &aws::logs::SERVICE, &aws::sts::SERVICE);
        let gateway = "arn:aws:apigateway:eu-west-1:";
        let account = "arn:aws:iam::123456789012";
        let tagged = format!("{gateway}:/domainnames/a.test");
        for (service, operation, input, action, resource) in [
            (v2, "GetApis", json!({}), "apigateway:GET", format!("{gateway}:/apis")),
            (v2, "CreateRoute", json!({"apiId": "a"}), "apigateway:POST", format!("{gateway}:/apis/a/routes")),
            (
                v1,
                "PutMethod",
                json!({"restapi_id": "a", "resource_id": "b", "http_method": "GET"}),
                "apigateway:PUT",
                format!("{gateway}:/restapis/a/resources/b/methods/GET"),
            ),
            (
                v2,
                "TagResource",
                json!({"resource-arn": tagged}),
                "apigateway:POST",
                format!("{gateway}:/tags/arn%3Aaws%3Aapigateway%3Aeu-west-1%3A%3A%2Fdomainnames%2Fa.test"),
            ),
            (
                v2,
                "ListRoutingRules",
                json!({"domainName": "a.test"}),
                "apigateway:ListRoutingRules",
                format!("{gateway}123456789012:/domainnames/a.test/routingrules/*"),
            ),
            (acm, "ListCertificates", json!({}), "acm:ListCertificates", "*".to_owned()),
            (
                acm,
                "ImportCertificate",
                json!({}),
                "acm:ImportCertificate",
                "arn:aws:acm:eu-west-1:123456789012:certificate/*".to_owned(),
            ),
            (acm, "GetCertificate", json!({"CertificateArn": "arn:c"}), "acm:GetCertificate", "arn:c".to_owned()),
            (
                logs,
                "PutLogEvents",
                json!({"logGroupName": "g", "logStreamName": "s"}),
                "logs:PutLogEvents",
                "arn:aws:logs:eu-west-1:123456789012:log-group:g:log-stream:s".to_owned(),
            ),
            (
                logs,
                "FilterLogEvents",
                json!({"logGroupIdentifier": "arn:aws:logs:eu-west-1:1:log-group:g:*"}),
                "logs:FilterLogEvents",
                "arn:aws:logs:eu-west-1:1:log-group:g".to_owned(),
            ),
            (
                iam,
                "CreateUser",
                json!({"UserName": "u", "Path": "/p/"}),
                "iam:CreateUser",
                format!("{account}:user/p/u"),
            ),
            (iam, "GetUser", json!({}), "iam:GetUser", format!("{account}:user/admin")),
            (
                iam,
                "AttachUserPolicy",
                json!({"UserName": "u", "PolicyArn": "arn:p"}),
                "iam:AttachUserPolicy",
                format!("{account}:user/u"),
            ),
            (
                iam,
                "AddUserToGroup",
                json!({"UserName": "u", "GroupName": "g"}),
                "iam:AddUserToGroup",
                format!("{account}:group/g"),
            ),
            (iam, "GetPolicyVersion", json!({"PolicyArn": "arn:p"}), "iam:GetPolicyVersion", "arn:p".to_owned()),
            (
                iam,
                "ListEntitiesForPolicy",
                json!({"PolicyArn": "arn:p"}),
                "iam:ListEntitiesForPolicy",
                "arn:p".to_owned(),
            ),
            (iam, "CreatePolicy", json!({"PolicyName": "p"}), "iam:CreatePolicy", format!("{account}:policy/p")),
            (
                iam,
                "PutRolePolicy",
                json!({"RoleName": "r", "PolicyName": "p"}),
                "iam:PutRolePolicy",
                format!("{account}:role/r"),
            ),
            (
                sts,
                "GetFederationToken",
                json!({"Name": "bob"}),
                "sts:GetFederationToken",
                "arn:aws:sts::123456789012:federated-user/bob".to_owned(),
            ),
        ] {
            let first = needs(service, operation, &input).swap_remove(0);
            assert_eq!(first, (action.to_owned(), resource), "{operation}");
        }
    }

    #[test]
    fn what_changes_who_is_trusted_needs_more() {
        let domain = "arn:aws:apigateway:eu-west-1::/domainnames/a.test".to_owned();
        let more = |service, operation, input: Value| needs(service, operation, &input).split_off(1);
        let (v1, v2) = (&aws::apigateway::SERVICE, &aws::apigatewayv2::SERVICE);
        let add = vec![("apigateway:AddCertificateToDomain".to_owned(), domain.clone())];
        let remove = vec![("apigateway:RemoveCertificateFromDomain".to_owned(), domain.clone())];
        let both = [add[0].clone(), remove[0].clone()];
        let policy = vec![("countersign:SetPolicy".to_owned(), domain.clone())];
        for (service, operation, input, wanted) in [
            (
                v2,
                "UpdateDomainName",
                json!({"domainName": "a.test", "mutualTlsAuthentication": {"truststoreUri": "s3://b/k"}}),
                add.clone(),
            ),
            (
                v2,
                "UpdateDomainName",
                json!({"domainName": "a.test", "mutualTlsAuthentication": {"truststoreVersion": "v"}}),
                add.clone(),
            ),
            (
                v2,
                "UpdateDomainName",
                json!({"domainName": "a.test", "mutualTlsAuthentication": {"truststoreUri": ""}}),
                remove.clone(),
            ),
            (v2, "UpdateDomainName", json!({"domainName": "a.test"}), vec![]),
            (
                v1,
                "UpdateDomainName",
                json!({"domain_name": "a.test", "patchOperations": [{"op": "replace", "path": "/securityPolicy", "value": "x"}, {"op": "replace", "path": "/mutualTlsAuthentication/truststoreVersion", "value": "v"}]}),
                add,
            ),
            (
                v1,
                "UpdateDomainName",
                json!({"domain_name": "a.test", "patchOperations": [{"op": "replace", "path": "/mutualTlsAuthentication/truststoreUri", "value": ""}]}),
                remove,
            ),
            (
                v1,
                "UpdateDomainName",
                json!({"domain_name": "a.test", "patchOperations": [{"op": "remove", "path": "/mutualTlsAuthentication/truststoreUri"}, {"op": "replace", "path": "/mutualTlsAuthentication/truststoreUri", "value": "s3://b/k"}]}),
                vec![both[1].clone(), both[0].clone()],
            ),
            (v2, "TagResource", json!({"resource-arn": domain, "tags": {"a": "b"}}), vec![]),
            (v2, "TagResource", json!({"resource-arn": domain, "tags": {"countersign:crl": "b"}}), policy.clone()),
            (v2, "UntagResource", json!({"resource-arn": domain, "tagKeys": ["countersign:crl"]}), policy),
        ] {
            assert_eq!(more(service, operation, input.clone()), wanted, "{operation} {input}");
        }
    }
}
