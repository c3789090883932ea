//! Random names, in AWS's forms.

use aws::Error;
use aws_lc_rs::rand;

const LOWERCASE_AND_DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Fills with random bytes of the system.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    rand::fill(bytes).map_err(|_| Error::internal("The system gave no random bytes."))
}

/// Lowercase letters and digits, as in the ids of API Gateway.
pub(crate) fn short(length: usize) -> Result<String, Error> {
    of_alphabet(LOWERCASE_AND_DIGITS, length)
}

/// Uppercase letters and digits, as in access keys.
pub(crate) fn base32(length: usize) -> Result<String, Error> {
    of_alphabet(BASE32, length)
}

/// A UUID v4 (RFC 9562 section 5.4).
pub(crate) fn uuid() -> Result<String, Error> {
    let mut bytes = [0; 16];
    fill(&mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = data_encoding::HEXLOWER.encode(&bytes);
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

/// The bias of the remainder is of no concern: these are names, not secrets.
fn of_alphabet(alphabet: &[u8], length: usize) -> Result<String, Error> {
    let mut bytes = vec![0; length];
    fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_forms() {
        let uuid = uuid().unwrap();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4', "{uuid}");
        assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
        let id = short(10).unwrap();
        assert!(id.len() == 10 && id.bytes().all(|b| LOWERCASE_AND_DIGITS.contains(&b)), "{id}");
        assert_ne!(base32(16).unwrap(), base32(16).unwrap());
    }
}
