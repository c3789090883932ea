//! `[lambda]`: where functions are called, and with whose credentials.

use std::path::{Path, PathBuf};
use std::{env, fs};

use edge::LambdaEndpoint;
use serde::{Deserialize, Deserializer, de::Error};
use sigv4::{Credentials, SecretKey};
use zeroize::Zeroizing;

use crate::answer::Failure;

/// What of it is secret is read when it is used, and not kept here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Lambda {
    /// URL of the Invoke API; none: functions cannot be called.
    #[serde(deserialize_with = "endpoint")]
    endpoint: Option<LambdaEndpoint>,
    credentials: Source,
    /// In the form of AWS's shared credentials file.
    pub(super) credentials_file: Option<PathBuf>,
    /// Of that file.
    profile: String,
}

/// What calls are signed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Source {
    /// Nothing, or what `credentials_file` has.
    #[default]
    None,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`
    Environment,
}

impl Lambda {
    /// What is wrong with it, for a person.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.credentials == Source::Environment && self.credentials_file.is_some() {
            return Err("lambda has both credentials = \"environment\" and credentials_file: keep one".to_owned());
        }
        Ok(())
    }

    /// As the data plane takes it. Reads the credentials.
    pub(crate) fn edge(&self) -> Result<Option<edge::Lambda>, Failure> {
        let Some(endpoint) = &self.endpoint else { return Ok(None) };
        let credentials = match (&self.credentials_file, self.credentials) {
            (Some(path), _) => {
                let named = |why: String| Failure::new(format!("lambda.credentials_file: {}: {why}", path.display()));
                Some(of_file(path, &self.profile).map_err(named)?)
            }
            (None, Source::Environment) => {
                let credentials = of_environment(|name| env::var(name).ok());
                let why = "lambda.credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not in the environment";
                Some(credentials.ok_or_else(|| Failure::new(why))?)
            }
            (None, Source::None) => None,
        };
        Ok(Some(edge::Lambda { endpoint: endpoint.clone(), credentials }))
    }
}

impl Default for Lambda {
    fn default() -> Self {
        Self { endpoint: None, credentials: Source::None, credentials_file: None, profile: "default".to_owned() }
    }
}

/// Those of a profile of such a file.
pub(super) fn of_file(path: &Path, profile: &str) -> Result<Credentials, String> {
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|e| e.to_string())?);
    of_profile(&text, profile)
}

/// Those of AWS's variables.
pub(super) fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Credentials> {
    of(|name| variable(&name.to_ascii_uppercase()).filter(|value| !value.is_empty()))
}

/// Those of a profile of a shared credentials file ("Configuration and credential file settings", AWS CLI user guide).
fn of_profile(text: &str, profile: &str) -> Result<Credentials, String> {
    let header = format!("[{profile}]");
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != header);
    lines.next().ok_or_else(|| format!("there is no profile {header} in it"))?;
    let section: Vec<&str> = lines.take_while(|line| !line.starts_with('[')).collect();
    let value = |name: &str| {
        let mut settings = section.iter().filter_map(|line| line.split_once('='));
        settings.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim().to_owned())
    };
    of(value).ok_or_else(|| format!("{header} has not both aws_access_key_id and aws_secret_access_key"))
}

fn of(value: impl Fn(&str) -> Option<String>) -> Option<Credentials> {
    Some(Credentials {
        access_key_id: value("aws_access_key_id")?,
        secret: SecretKey::new(value("aws_secret_access_key")?),
        session_token: value("aws_session_token"),
    })
}

fn endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LambdaEndpoint>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_of_many() {
        let text = "# comment\n[default]\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key=secret\n\n\
                    [other]\naws_access_key_id=AKIDOTHER\naws_secret_access_key = a=b/c \naws_session_token = token\n\
                    [half]\naws_access_key_id=AKIDHALF\n";
        let default = of_profile(text, "default").unwrap();
        assert_eq!((default.access_key_id.as_str(), default.session_token), ("AKIDDEFAULT", None));
        let other = of_profile(text, "other").unwrap();
        assert_eq!((other.access_key_id.as_str(), other.session_token.as_deref()), ("AKIDOTHER", Some("token")));
        assert!(of_profile(text, "half").unwrap_err().contains("has not both"));
        assert!(of_profile(text, "none").unwrap_err().contains("no profile [none]"));
    }

    #[test]
    fn without_an_endpoint_nothing_is_read() {
        let lambda = Lambda { credentials_file: Some("/nonexistent".into()), ..Lambda::default() };
        assert!(lambda.edge().unwrap().is_none());
        let lambda = Lambda { endpoint: "http://127.0.0.1:1".parse().ok(), ..lambda };
        assert!(lambda.edge().unwrap_err().to_string().contains("lambda.credentials_file: /nonexistent"));
    }
}
