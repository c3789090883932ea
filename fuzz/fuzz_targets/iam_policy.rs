//! IAM policies: whatever the text, reading it ends, and what was read answers every question, the same each time.
#![no_main]

use iam_policy::{Context, Kind, Policy, Request};
use libfuzzer_sys::fuzz_target;

/// Every key has a value that looks like much.
struct Anything;

impl Context for Anything {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        match key.len() % 4 {
            0 => None,
            1 => Some(vec!["203.0.113.7".to_owned()]),
            2 => Some(vec!["*".to_owned(), "2026-01-01T00:00:00Z".to_owned()]),
            _ => Some(vec![key.to_owned()]),
        }
    }
}

fuzz_target!(|text: &str| {
    for kind in [Kind::Identity, Kind::Trust] {
        let Ok(policy) = Policy::parse(text, kind) else { continue };
        let principals = ["arn:aws:iam::123456789012:user/alice"];
        for resource in ["*", "arn:aws:s3:::bucket/key", text] {
            let names = [resource];
            let request = || Request::new("s3:GetObject", &names, &Anything).by(&principals);
            assert_eq!(policy.decide(&request()), policy.decide(&request()));
        }
        let _ = policy.context_keys();
    }
});
