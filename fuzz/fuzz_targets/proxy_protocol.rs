//! A header of PROXY protocol: no panic, and what is believed is what the bytes say.
#![no_main]

use edge::proxy_protocol::{MAX_LENGTH, Source, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &[u8]| {
    let Ok(source) = parse(header) else { return };
    let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
    assert!(header.len() == 16 + length && length <= MAX_LENGTH);
    if let Source::Client(client) = source {
        assert_eq!(header[12], 0x21);
        assert_eq!(client.is_ipv4(), header[13] == 0x11);
    }
    let longer = [header, &[0]].concat();
    assert!(parse(&longer).is_err());
});
