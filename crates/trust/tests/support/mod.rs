//! Certificates for the tests: by the real `openssl` where it must be X.509 v1 or weak, by rcgen elsewhere.

#![allow(dead_code)]

use std::path::PathBuf;
use std::process::Command;

use trust::{Judgment, Policy, Truststore, Unrevoked};

/// 2026-11-22T00:00:00Z, within the validity of everything that rcgen makes here unless told otherwise.
pub const NOW: i64 = 1_795_305_600;

/// A minute from now: openssl stamps what it makes with the real time.
pub fn soon() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970");
    since.as_secs() as i64 + 60
}

/// A directory in which `openssl` works.
pub struct OpenSsl(tempfile::TempDir);

impl OpenSsl {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Runs `openssl` with blank-separated arguments; file names are relative to the directory.
    pub fn run(&self, arguments: &str) -> &Self {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .expect("openssl is installed");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        self
    }

    pub fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.path(name), text).expect("the directory is writable");
        self
    }

    pub fn pem(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("openssl wrote the file")
    }

    pub fn der(&self, name: &str) -> Vec<u8> {
        self.run(&format!("x509 -in {name} -outform DER -out {name}.der"));
        std::fs::read(self.path(&format!("{name}.der"))).expect("openssl wrote the file")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

pub fn truststore(pem: &str) -> Truststore {
    Truststore::compile(pem.as_bytes(), NOW).expect("a truststore").0
}

pub fn judge(truststore: &Truststore, chain: &[&[u8]], at: i64) -> Judgment {
    truststore.judge(chain, &Policy::default(), &Unrevoked, at)
}

/// The refusal's code as text, or `accepted`.
pub fn outcome(judgment: &Judgment) -> String {
    judgment.refusal().map_or_else(|| "accepted".to_owned(), |refusal| refusal.code.to_string())
}
