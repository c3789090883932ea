//! Requests in HTTP/1.1: no panic, and one meaning however the bytes come.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| edge::read_twice(input.1, input.0.into()));
