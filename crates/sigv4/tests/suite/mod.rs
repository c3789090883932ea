//! AWS's published test vectors, as the package of its own signer ships them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use http::Request;
use http::request::Parts;
use sigv4::{Credentials, SecretKey};

/// All vectors are signed at 2015-08-30T12:36:00Z.
pub const AT: i64 = 1_440_938_160;

/// Vectors whose request `http` cannot hold, or whose signer did what AWS's services do not ask for.
const LEFT_OUT: &[(&str, &str)] = &[
    ("double-encode-path", "not of the published suite: another key, which is not given"),
    ("double-url-encode", "not of the published suite: another key, which is not given"),
    ("get-header-value-multiline", "a header folded over lines, obsolete since RFC 7230"),
    ("get-space-normalized", "a raw space in the path"),
    ("get-space-unnormalized", "a raw space in the path"),
    ("get-relative-relative-unnormalized", "signed without normalizing, for a service that normalizes"),
    ("get-relative-unnormalized", "signed without normalizing, for a service that normalizes"),
    ("get-slash-dot-slash-unnormalized", "signed without normalizing, for a service that normalizes"),
    ("get-slash-pointless-dot-unnormalized", "signed without normalizing, for a service that normalizes"),
    ("get-slash-unnormalized", "signed without normalizing, for a service that normalizes"),
    ("get-slashes-unnormalized", "signed without normalizing, for a service that normalizes"),
];

/// The secret of the one key of the vectors.
pub fn key(access_key_id: &str) -> Option<SecretKey> {
    (access_key_id == "AKIDEXAMPLE").then(|| credentials(None).secret)
}

/// Whom the vectors are signed by.
pub fn credentials(session_token: Option<String>) -> Credentials {
    let secret = SecretKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    Credentials { access_key_id: "AKIDEXAMPLE".to_owned(), secret, session_token }
}

/// Name and directory of each vector that is used.
pub fn vectors() -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(suite()).expect("the package of aws-sigv4 holds the vectors");
    let named = entries
        .map(|entry| entry.expect("a directory"))
        .map(|entry| (entry.file_name().into_string().expect("ASCII"), entry.path()));
    let (left_out, used): (Vec<_>, Vec<_>) = named.partition(|(name, _)| LEFT_OUT.iter().any(|(left, _)| left == name));
    assert_eq!(left_out.len(), LEFT_OUT.len(), "a vector that is left out is no longer there");
    used
}

/// Where Cargo keeps the package.
fn suite() -> PathBuf {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&cargo.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    let package = packages.iter().find(|package| package["name"] == "aws-sigv4").expect("a dev-dependency");
    let manifest = PathBuf::from(package["manifest_path"].as_str().expect("a path"));
    manifest.with_file_name("aws-signing-test-suite").join("v4")
}

/// A request as it is written in a file, and its body.
pub fn read(path: &Path) -> (Parts, Vec<u8>) {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let request_line = lines.next().expect("a request line");
    let (method, rest) = request_line.split_once(' ').expect("a method");
    let target = rest.strip_suffix(" HTTP/1.1").unwrap_or(rest);
    let mut request = Request::builder().method(method).uri(target);
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{line}"));
        request = request.header(name, value.trim());
    }
    let (parts, ()) = request.body(()).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into_parts();
    (parts, body.as_bytes().to_vec())
}
