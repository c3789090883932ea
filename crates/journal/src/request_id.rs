//! Ids of requests. They say when the request began, by which a record is found among millions; the rest is random.
//!
//! 11 bytes in base64, as AWS's are (`Mc7UVioPPHcEKPA=`): seconds since 1970-01-01T00:00:00Z (4 bytes, big end first), then 7 random
//! bytes. For REST APIs a UUID of version 7 (RFC 9562 section 5.7).

use data_encoding::{BASE64, HEXLOWER};

/// Bytes of one that is not a UUID.
pub const BYTES: usize = 11;
const MILLIS: i64 = 1000;

/// The bytes of an id.
pub fn bytes(now_ms: i64, random: [u8; 7]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..4].copy_from_slice(&((now_ms / MILLIS) as u32).to_be_bytes());
    bytes[4..].copy_from_slice(&random);
    bytes
}

/// The bytes of a UUID of version 7. Of the random ones 74 bits are used.
pub fn uuid_bytes(now_ms: i64, random: [u8; 10]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&now_ms.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&random);
    bytes[6] = bytes[6] & 0x0f | 0x70;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

/// Milliseconds since 1970-01-01T00:00:00Z; the request did not begin before. `None` where the id does not say.
pub fn began_ms(id: &str) -> Option<i64> {
    if id.len() == 16 {
        let bytes: [u8; BYTES] = BASE64.decode(id.as_bytes()).ok()?.try_into().ok()?;
        return Some(i64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])) * MILLIS);
    }
    let groups: Vec<&str> = id.split('-').collect();
    let is_uuid = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups[2].starts_with('7');
    let digits = is_uuid.then(|| [groups[0], groups[1]].concat())?;
    let bytes: [u8; 6] = HEXLOWER.decode(digits.as_bytes()).ok()?.try_into().ok()?;
    Some(bytes.iter().fold(0, |millis, byte| millis << 8 | i64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_say_when() {
        let now = 1_796_000_000_123;
        let id = BASE64.encode(&bytes(now, [0xff; 7]));
        assert_eq!((id.len(), began_ms(&id)), (16, Some(1_796_000_000_000)));
        assert_eq!(began_ms("01a1b2c3-d4e5-7aaa-8bbb-000000000000"), Some(0x01a1_b2c3_d4e5));
        let uuid = uuid_bytes(now, [0xff; 10]);
        assert_eq!((uuid[6], uuid[8]), (0x7f, 0xbf));
        assert_eq!(HEXLOWER.encode(&uuid[..6]), format!("{now:012x}"));
        for other in
            ["", "Mc7UVioPPHcEKP==", "01a1b2c3-d4e5-4aaa-8bbb-000000000000", "zza1b2c3-d4e5-7aaa-8bbb-000000000000"]
        {
            assert_eq!(began_ms(other), None, "{other}");
        }
    }
}
