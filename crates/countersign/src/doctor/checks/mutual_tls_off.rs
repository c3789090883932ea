//! The domain has no truststore.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "mutual-tls-off",
    severity: Severity::Error,
    about: "The domain has no truststore",
    why: "Without one no certificate is asked for, and everybody may call.",
    needs: Need::Settings,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = facts.settings.as_ref().filter(|settings| settings.domain.truststore_uri.is_none()) else {
        return Vec::new();
    };
    let domain = &settings.domain;
    vec![
        Seen::new(format!("{} has no MutualTlsAuthentication.", domain.name), "Set its truststore.").command(format!(
            "aws apigatewayv2 update-domain-name --domain-name {} --domain-name-configurations {} \
             --mutual-tls-authentication TruststoreUri=s3://BUCKET/ca.pem,TruststoreVersion=VERSION",
            domain.name,
            domain.configurations()
        )),
    ]
}
