//! Certificates that only `openssl` makes: as the guide makes them (X.509 v1), and weak ones.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use crate::support::{Identity, Setup, World, client};
use trust::Code;

struct OpenSsl(tempfile::TempDir);

impl OpenSsl {
    /// Blank-separated arguments, as in a shell without quotes.
    fn run(&self, arguments: &str) {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn identity(&self, name: &str, request: &str, sign: &str) -> Identity {
        self.run(&format!("req -new {request} -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        self.run(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -set_serial 7 -days 30 {sign} -out {name}.pem"
        ));
        let read = |suffix: &str| std::fs::read_to_string(self.0.path().join(format!("{name}.{suffix}"))).unwrap();
        Identity { chain_pem: read("pem"), key_pem: read("key") }
    }
}

async fn world(openssl: &OpenSsl) -> World {
    openssl.run("req -new -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=Guide");
    let truststore = std::fs::read_to_string(openssl.0.path().join("ca.pem")).unwrap();
    let world = Setup { truststore: Some(truststore), ..Setup::new() }.start().await;
    // openssl stamps certificates with the time that it is.
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_secs(60);
    world.now.store(since.as_millis() as i64, Ordering::SeqCst);
    world
}

/// What `openssl s_client` gets; its own rules about weak keys are switched off.
async fn ask(world: &World, directory: &Path, name: &str, version: &str) -> String {
    let arguments = format!(
        "s_client -connect {} -servername api.example.com -cert {name}.pem -key {name}.key -quiet -cipher \
         DEFAULT@SECLEVEL=0 {version}",
        world.edge.local_addr(),
    );
    std::fs::write(directory.join("request"), "GET /proxy/x HTTP/1.0\r\nhost: api.example.com\r\n\r\n").unwrap();
    let directory = directory.to_owned();
    let output = tokio::task::spawn_blocking(move || {
        Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&directory)
            .stdin(Stdio::from(std::fs::File::open(directory.join("request")).unwrap()))
            .output()
            .unwrap()
    });
    let output = client::within(async { Ok(output.await.unwrap()) }).await.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn the_guides_version_1_certificates_are_accepted() {
    let openssl = OpenSsl(tempfile::tempdir().unwrap());
    let world = world(&openssl).await;
    for (name, request) in [
        ("v1-p256", "-newkey ec -pkeyopt ec_paramgen_curve:P-256"),
        ("v1-p384", "-newkey ec -pkeyopt ec_paramgen_curve:P-384"),
        ("v1-rsa", "-newkey rsa:2048"),
    ] {
        openssl.identity(name, request, "-sha256");
        for version in ["-tls1_2", "-tls1_3"] {
            let answer = ask(&world, openssl.0.path(), name, version).await;
            assert!(
                answer.starts_with("HTTP/1.0 200 OK\r\n") || answer.starts_with("HTTP/1.1 200 OK\r\n"),
                "{name} {version}: {answer}"
            );
        }
    }
    assert_eq!(world.backend.seen().len(), 6);
}

#[tokio::test]
async fn weak_certificates_get_a_403_with_the_reason() {
    let openssl = OpenSsl(tempfile::tempdir().unwrap());
    let mut world = world(&openssl).await;
    for (name, request, sign, code) in [
        ("rsa-1024", "-newkey rsa:1024", "-sha256", Code::ClientCertWeakKey),
        ("sha-1", "-newkey rsa:2048", "-sha1", Code::ClientCertWeakSignature),
    ] {
        openssl.identity(name, request, sign);
        for version in ["-tls1_2", "-tls1_3"] {
            let answer = ask(&world, openssl.0.path(), name, version).await;
            assert!(answer.contains(" 403 Forbidden\r\n"), "{name} {version}: {answer}");
            assert_eq!(world.refusal().await.code, code, "{name} {version}");
        }
    }
    assert!(world.backend.seen().is_empty());
}

#[tokio::test]
async fn a_weak_key_that_is_listed_itself_is_refused_all_the_same() {
    let openssl = OpenSsl(tempfile::tempdir().unwrap());
    let mut world = world(&openssl).await;
    let listed = openssl.identity("listed", "-newkey rsa:1024", "-sha256");
    let pem = [std::fs::read_to_string(openssl.0.path().join("ca.pem")).unwrap(), listed.chain_pem].concat();
    world.trust(&pem, model::Rejection::Respond).await;
    let answer = ask(&world, openssl.0.path(), "listed", "-tls1_3").await;
    assert!(answer.contains(" 403 Forbidden\r\n"), "possession of such a key cannot be checked: {answer}");
    assert_eq!(world.refusal().await.code, Code::ClientCertWeakKey);
}
