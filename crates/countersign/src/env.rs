//! `countersign env`: shell commands that point the aws CLI at the running server.

use std::path::PathBuf;

use control::shell::quote;

use crate::answer::{self, Answer, Outcome};
use crate::data_dir::{Credentials, DataDir, Run};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Data directory of the server
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Do not define the function aws() that CLI versions before 2.13 need
    #[arg(long)]
    no_function: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let dir = DataDir::find(args.data_dir.as_deref())?;
    let run = dir.running()?;
    let credentials = dir.credentials_of_admin()?;
    answer::print(&script(&run, &credentials, &dir.ca().to_string_lossy(), !args.no_function));
    Ok(Answer::Yes)
}

fn script(run: &Run, credentials: &Credentials, ca_file: &str, function: bool) -> String {
    let exports = [
        ("AWS_ENDPOINT_URL", run.control.as_str()),
        ("AWS_ACCESS_KEY_ID", &credentials.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key),
        ("AWS_DEFAULT_REGION", &run.region),
        ("COUNTERSIGN_HTTPS_ADDR", &run.https),
        ("COUNTERSIGN_CA_FILE", ca_file),
    ];
    let mut script = String::new();
    for (name, value) in exports {
        script += &format!("export {name}={}\n", quote(value));
    }
    script += "unset AWS_PROFILE AWS_SESSION_TOKEN";
    if function {
        script += "\naws() { command aws --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"; }";
    }
    script
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn sample(ca_file: &str, function: bool) -> String {
        let run = Run {
            pid: 1,
            control: "http://127.0.0.1:4566".into(),
            https: "127.0.0.1:8443".into(),
            region: "us-east-1".into(),
            dns: None,
        };
        let credentials = Credentials { access_key_id: "AKIA".into(), secret_access_key: "a/b+c'\"$(x)".into() };
        script(&run, &credentials, ca_file, function)
    }

    #[test]
    fn says_what_scripts_rely_on() {
        let text = sample("/data/ca.pem", true);
        let wanted = [
            "export AWS_ENDPOINT_URL=http://127.0.0.1:4566",
            "export AWS_ACCESS_KEY_ID=AKIA",
            "export AWS_DEFAULT_REGION=us-east-1",
            "export COUNTERSIGN_HTTPS_ADDR=127.0.0.1:8443",
            "export COUNTERSIGN_CA_FILE=/data/ca.pem",
            "unset AWS_PROFILE AWS_SESSION_TOKEN",
            "aws() { command aws --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"; }",
        ];
        for line in wanted {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(!sample("/data/ca.pem", false).contains("aws()"));
    }

    #[test]
    fn a_shell_reads_back_every_value() {
        for value in ["", "a b", "it's", "$(touch x)", "`x`", "a\nb", "\\", "\"", "~", "*", "!", "ü", "-n", "a#b;c&d|e"]
        {
            let script = format!("{}\nprintf %s \"$COUNTERSIGN_CA_FILE\"", sample(value, true));
            let out = Command::new("sh").arg("-c").arg(&script).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&out.stdout), value);
            assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        }
    }
}
