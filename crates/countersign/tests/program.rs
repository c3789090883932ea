//! The real binary, started and ended as a person does it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

const BINARY: &str = env!("CARGO_BIN_EXE_countersign");

/// `countersign up` on ports of its own.
struct Server {
    child: Child,
    control: String,
    https: String,
}

impl Server {
    fn start(data_dir: &Path, options: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(["up", "--https-addr", "127.0.0.1:0", "--control-addr", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some((control, https)) =
            line.trim().strip_prefix("ready control=").and_then(|rest| rest.split_once(" https="))
        else {
            let output = child.wait_with_output().unwrap();
            panic!("no ready line but {line:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        Self { control: control.to_owned(), https: https.to_owned(), child }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it by SIGTERM; gives what it said on stderr.
    fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{said}");
        said
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.control.strip_prefix("http://").unwrap()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

fn countersign(args: &[&str]) -> Output {
    Command::new(BINARY).args(args).env_remove("AWS_ENDPOINT_URL").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn up_is_found_by_others_and_ends_well() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("data");
    let path = dir.to_str().unwrap();
    let server = Server::start(&dir, &[]);
    assert!(server.get("/_countersign/health").starts_with("HTTP/1.1 200"), "{}", server.get("/_countersign/health"));

    let run: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("run.json")).unwrap()).unwrap();
    assert_eq!(run["pid"], server.child.id());
    assert_eq!((run["control"].as_str(), run["https"].as_str()), (Some(&*server.control), Some(&*server.https)));
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    for name in ["run.json", "credentials.json", "sealing.key", "settings.redb"] {
        assert_eq!(fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }

    let env = countersign(&["env", "--data-dir", path]);
    assert!(text(&env.stdout).contains(&format!("export AWS_ENDPOINT_URL={}\n", server.control)), "{env:?}");
    let second =
        countersign(&["up", "--data-dir", path, "--control-addr", "127.0.0.1:0", "--https-addr", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(2));
    assert!(text(&second.stderr).contains(path) && second.stdout.is_empty(), "{second:?}");
    let unknown = countersign(&["explain", "none", "--data-dir", path]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("no request none is recorded"), "{unknown:?}");

    server.stop();
    assert!(!dir.join("run.json").exists());
    assert_eq!(countersign(&["env", "--data-dir", path]).status.code(), Some(2));
}

#[test]
fn a_restart_keeps_the_access_key_even_after_a_kill() {
    let base = tempfile::tempdir().unwrap();
    let mut server = Server::start(base.path(), &[]);
    let credentials = fs::read(base.path().join("credentials.json")).unwrap();
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    assert!(base.path().join("run.json").exists(), "a killed process cleans nothing up");
    assert_eq!(countersign(&["env", "--data-dir", base.path().to_str().unwrap()]).status.code(), Some(2));

    fs::remove_file(base.path().join("credentials.json")).unwrap();
    Server::start(base.path(), &[]).stop();
    assert_eq!(fs::read(base.path().join("credentials.json")).unwrap(), credentials);
}

#[test]
fn damaged_files_are_named() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    Server::start(dir, &[]).stop();
    let path = dir.to_str().unwrap();
    let up = ["up", "--data-dir", path, "--control-addr", "127.0.0.1:0", "--https-addr", "127.0.0.1:0"];
    for name in ["settings.redb", "sealing.key", "objects.redb"] {
        let whole = fs::read(dir.join(name)).unwrap();
        fs::write(dir.join(name), &whole[..whole.len() / 2]).unwrap();
        let refused = countersign(&up);
        assert_eq!(refused.status.code(), Some(2), "{name}: {refused:?}");
        assert!(text(&refused.stderr).contains(name), "{name}: {refused:?}");
        fs::write(dir.join(name), &whole).unwrap();
    }
    // Another key than the one that the settings were sealed with.
    let key = fs::read(dir.join("sealing.key")).unwrap();
    fs::write(dir.join("sealing.key"), [7; 32]).unwrap();
    let refused = countersign(&up);
    assert!(refused.status.code() == Some(2) && text(&refused.stderr).contains("sealing.key"), "{refused:?}");
    fs::write(dir.join("sealing.key"), key).unwrap();
    // What can be made again is made again, and told.
    for name in ["credentials.json", "ca.pem"] {
        fs::write(dir.join(name), b"{").unwrap();
        let said = Server::start(dir, &[]).stop();
        assert!(said.contains(name) && said.contains("written anew"), "{said}");
    }
}

#[test]
fn sighup_reads_the_configuration_again() {
    let base = tempfile::tempdir().unwrap();
    let config = base.path().join("countersign.toml");
    fs::write(&config, "rejection = \"alert\"\n").unwrap();
    let mut server = Server::start(&base.path().join("data"), &["--config", config.to_str().unwrap()]);
    let mut said = BufReader::new(server.child.stderr.take().unwrap());
    for (text, answer) in [
        ("rejektion = 1\n", "unknown field `rejektion`"),
        ("region = \"eu-west-1\"", "waits for a restart"),
        ("", "read again"),
    ] {
        fs::write(&config, text).unwrap();
        server.signal(Signal::HUP);
        let mut heard = String::new();
        while !heard.contains(answer) {
            assert_ne!(said.read_line(&mut heard).unwrap(), 0, "{heard}");
        }
    }
    server.signal(Signal::INT);
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_start_says_why() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("data");
    let dir = dir.to_str().unwrap();
    let taker = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taker.local_addr().unwrap().to_string();
    let file = |name: &str| base.path().join(name).to_str().unwrap().to_owned();
    for ca in ["ca", "other"] {
        let dir = file(ca);
        fs::create_dir(&dir).unwrap();
        assert_eq!(countersign(&["ca", "init", "CA", "--dir", &dir]).status.code(), Some(0));
        assert_eq!(countersign(&["ca", "issue", "d.test", "--server", "d.test", "--dir", &dir]).status.code(), Some(0));
    }
    fs::write(file("junk"), "junk").unwrap();
    let gateway = |truststore: &str, cert: &str, key: &str, upstream: &str| -> Vec<String> {
        let files = ["--truststore", &file(truststore), "--cert", &file(cert), "--key", &file(key)].map(str::to_owned);
        ["--domain", "d.test", "--upstream", upstream].map(str::to_owned).into_iter().chain(files).collect()
    };
    let (ca, cert, key, upstream) = ("ca/ca.pem", "ca/d.test.pem", "ca/d.test.key", "http://127.0.0.1:1");
    let strings = |options: &[&str]| options.iter().map(|option| (*option).to_owned()).collect();
    let cases: [(Vec<String>, &str); 12] = [
        (strings(&["--control-addr", "0.0.0.0:0"]), "needs TLS"),
        (strings(&["--control-addr", &taken]), "choose another address with --control-addr"),
        (
            strings(&["--control-addr", "127.0.0.1:0", "--https-addr", &taken]),
            "choose another address with --https-addr",
        ),
        (strings(&["--config", &file("absent.toml")]), "absent.toml"),
        (gateway("absent", cert, key, upstream), "absent"),
        (gateway("junk", cert, key, upstream), "junk: the truststore contains no usable certificate"),
        (gateway(key, cert, key, upstream), "private key"),
        (gateway(ca, "junk", key, upstream), "junk: no certificate in it"),
        (gateway(ca, cert, "junk", upstream), "junk: no private key in it"),
        (gateway(ca, cert, "other/d.test.key", upstream), "not the key of the certificate in"),
        (gateway(ca, cert, key, "127.0.0.1:1"), "--upstream 127.0.0.1:1 is no URL"),
        (strings(&["--domain", "d.test"]), "--truststore"),
    ];
    for (options, said) in &cases {
        let options = options.iter().map(String::as_str);
        let refused = countersign(&["up", "--data-dir", dir].into_iter().chain(options).collect::<Vec<_>>());
        assert_eq!(refused.status.code(), Some(2), "{said}: {refused:?}");
        assert!(text(&refused.stderr).contains(said) && refused.stdout.is_empty(), "{said}: {refused:?}");
    }
}

#[test]
fn a_control_address_with_tls() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().to_str().unwrap();
    countersign(&["ca", "init", "CA", "--dir", path]);
    countersign(&["ca", "issue", "control", "--server", "127.0.0.1", "--dir", path]);
    let config = base.path().join("countersign.toml");
    fs::write(&config, "[control]\ncertificate = \"control.pem\"\nkey = \"control.key\"\n").unwrap();
    let dir = base.path().join("data");
    let server = Server::start(&dir, &["--config", config.to_str().unwrap()]);
    assert!(server.control.starts_with("https://127.0.0.1:"), "{}", server.control);
    let explain = |ca_file: &Path| {
        let mut command = Command::new(BINARY);
        command.args(["explain", "none", "--data-dir"]).arg(&dir).env("AWS_CA_BUNDLE", ca_file);
        text(&command.output().unwrap().stderr)
    };
    let answer = explain(&base.path().join("ca.pem"));
    assert!(answer.contains("no request none is recorded"), "{answer}");
    let answer = explain(&dir.join("ca.pem"));
    assert!(answer.contains("does not answer"), "another CA vouches for nothing: {answer}");
    server.stop();
}

#[test]
fn the_demo_holds() {
    let base = tempfile::tempdir().unwrap();
    let demo =
        Command::new(BINARY).args(["demo", "--exit"]).env("TMPDIR", base.path()).env("PATH", "").output().unwrap();
    let told = text(&demo.stdout);
    assert_eq!(demo.status.code(), Some(0), "{told}{}", text(&demo.stderr));
    assert!(!told.contains('\x1b') && !told.contains('✗'), "{told}");
    assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0, "it leaves nothing behind");
}
