//! Sealed segments' columns, signed notes, proofs and verifier keys.
#![no_main]

use journal::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzzing::columns(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        fuzzing::note(text, &key.parse().expect("the published example"));
    }
});
