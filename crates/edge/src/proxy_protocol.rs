//! PROXY protocol version 2: a balancer in front says whose connection it passes on (the specification is HAProxy's
//! doc/proxy-protocol.txt).
//!
//! Only addresses are taken from it. What its TLVs claim (a server name, a client certificate that the balancer saw) is
//! checked for form and skipped: trust is decided by this gateway's own handshake, and by nothing else.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of a header after its first sixteen. The specification wants 536 at least; more is left for TLVs, such as the
/// names of a certificate that the balancer saw.
pub const MAX_LENGTH: usize = 536 + 1512;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;
/// PP2_TYPE_CRC32C
const CHECKSUM: u8 = 0x03;

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Of the client at this address.
    Client(SocketAddr),
    /// Of the balancer itself: a health check, or a client whose address it cannot tell.
    Balancer,
}

/// Why there is no header that could be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It begins otherwise: version 1, TLS, or anything.
    #[error("no header of PROXY protocol version 2")]
    Signature,
    /// Neither LOCAL nor PROXY of version 2.
    #[error("a version or command that version 2 does not have")]
    Command,
    /// A family or transport that the specification does not have.
    #[error("a family or transport that version 2 does not have")]
    Family,
    /// Longer than [`MAX_LENGTH`], or too short for its addresses.
    #[error("a length that cannot be")]
    Length,
    /// They do not fill the header exactly.
    #[error("TLVs that do not end with the header")]
    Tlv,
    /// PP2_TYPE_CRC32C is there and wrong.
    #[error("a checksum that is not the header's")]
    Checksum,
}

/// Reads a header from the beginning of a connection, and not a byte more. The outer error is the connection's.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Result<Source, Invalid>> {
    let mut header = [0; FIXED + MAX_LENGTH];
    let mut fixed = [0; FIXED];
    stream.read_exact(&mut fixed).await?;
    let length = match length(&fixed) {
        Ok(length) => length,
        Err(invalid) => return Ok(Err(invalid)),
    };
    header[..FIXED].copy_from_slice(&fixed);
    stream.read_exact(&mut header[FIXED..FIXED + length]).await?;
    Ok(parse(&header[..FIXED + length]))
}

/// Reads a whole header.
pub fn parse(header: &[u8]) -> Result<Source, Invalid> {
    let (fixed, rest) = header.split_first_chunk::<FIXED>().ok_or(Invalid::Signature)?;
    if length(fixed)? != rest.len() {
        return Err(Invalid::Length);
    }
    let is_local = fixed[12] & 0xf == 0;
    if is_local {
        // What follows is to be skipped, whatever it is.
        return Ok(Source::Balancer);
    }
    let (source, addresses) = match fixed[13] {
        0x11 => {
            let (v4, _) = rest.split_first_chunk::<12>().ok_or(Invalid::Length)?;
            let ip = Ipv4Addr::new(v4[0], v4[1], v4[2], v4[3]);
            (Source::Client((ip, u16::from_be_bytes([v4[8], v4[9]])).into()), 12)
        }
        0x21 => {
            let (v6, _) = rest.split_first_chunk::<36>().ok_or(Invalid::Length)?;
            let ip = v6.first_chunk::<16>().ok_or(Invalid::Length)?;
            (Source::Client((Ipv6Addr::from(*ip), u16::from_be_bytes([v6[32], v6[33]])).into()), 36)
        }
        // Valid, and not of TCP: as if the balancer did not know.
        0x00 => (Source::Balancer, 0),
        0x12 => (Source::Balancer, 12),
        0x22 => (Source::Balancer, 36),
        0x31 | 0x32 => (Source::Balancer, 216),
        _ => return Err(Invalid::Family),
    };
    check_tlvs(header, FIXED + addresses)?;
    Ok(source)
}

/// Of what follows the fixed part, once that is known to be one.
fn length(fixed: &[u8; FIXED]) -> Result<usize, Invalid> {
    if fixed[..12] != SIGNATURE {
        return Err(Invalid::Signature);
    }
    if !matches!(fixed[12], 0x20 | 0x21) {
        return Err(Invalid::Command);
    }
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > MAX_LENGTH { Err(Invalid::Length) } else { Ok(length) }
}

/// That they are whole, and that the header is as it was sent where a checksum says so.
fn check_tlvs(header: &[u8], mut at: usize) -> Result<(), Invalid> {
    let mut rest = header.get(at..).ok_or(Invalid::Length)?;
    while let Some((&[kind, high, low], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, next) = after.split_at_checked(length).ok_or(Invalid::Tlv)?;
        if kind == CHECKSUM {
            let told = value.try_into().map_err(|_| Invalid::Tlv)?;
            if u32::from_be_bytes(told) != crc32c(header, at + 3) {
                return Err(Invalid::Checksum);
            }
        }
        at += 3 + length;
        rest = next;
    }
    if rest.is_empty() { Ok(()) } else { Err(Invalid::Tlv) }
}

/// CRC-32C of a header in which the four bytes at `field` count as zero. Bit by bit: a header is short and comes once.
fn crc32c(header: &[u8], field: usize) -> u32 {
    let byte = |(at, byte): (usize, &u8)| if (field..field + 4).contains(&at) { 0 } else { *byte };
    !header.iter().enumerate().map(byte).fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of these parts, with the length that is right.
    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        header.extend([command, family]);
        header.extend((rest.len() as u16).to_be_bytes());
        header.extend(rest);
        header
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb];

    fn with_tlv(tlvs: &[u8]) -> Vec<u8> {
        header(0x21, 0x11, &[&V4[..], tlvs].concat())
    }

    #[test]
    fn says_whose_connection_it_is() {
        let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7], &[0; 16], &[0, 80, 1, 0xbb]].concat();
        for (header, source) in [
            (header(0x21, 0x11, &V4), Source::Client("192.0.2.1:4660".parse().unwrap())),
            (header(0x21, 0x21, &v6), Source::Client("[2001:db8::7]:80".parse().unwrap())),
            (with_tlv(&[0x04, 0, 2, 9, 9, 0x20, 0, 0]), Source::Client("192.0.2.1:4660".parse().unwrap())),
            (header(0x20, 0x00, &[]), Source::Balancer),
            (header(0x20, 0xff, b"whatever"), Source::Balancer),
            (header(0x21, 0x00, &[]), Source::Balancer),
            (header(0x21, 0x12, &V4), Source::Balancer),
            (header(0x21, 0x31, &[0; 216]), Source::Balancer),
        ] {
            assert_eq!(parse(&header), Ok(source), "{header:x?}");
        }
    }

    #[test]
    fn what_is_not_exactly_one_is_refused() {
        // It would end where the header is longer than it may be.
        let long = header(0x21, 0x00, &[4, 0xff, 0xff]);
        for (header, why) in [
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 443\r\n".to_vec(), Invalid::Signature),
            (b"\x16\x03\x01\x02\x00".to_vec(), Invalid::Signature),
            (header(0x11, 0x11, &V4), Invalid::Command),
            (header(0x22, 0x11, &V4), Invalid::Command),
            (header(0x21, 0x13, &V4), Invalid::Family),
            (header(0x21, 0x41, &V4), Invalid::Family),
            (header(0x21, 0x11, &V4[..11]), Invalid::Length),
            (header(0x21, 0x21, &V4), Invalid::Length),
            (header(0x21, 0x31, &[0; 215]), Invalid::Length),
            (header(0x21, 0x11, &[0; MAX_LENGTH + 1]), Invalid::Length),
            ([header(0x21, 0x11, &V4), vec![0]].concat(), Invalid::Length),
            (header(0x21, 0x11, &V4)[..27].to_vec(), Invalid::Length),
            (with_tlv(&[4]), Invalid::Tlv),
            (with_tlv(&[4, 0, 1]), Invalid::Tlv),
            (with_tlv(&[CHECKSUM, 0, 3, 0, 0, 0]), Invalid::Tlv),
            (long, Invalid::Tlv),
            (with_tlv(&[CHECKSUM, 0, 4, 0, 0, 0, 0]), Invalid::Checksum),
        ] {
            assert_eq!(parse(&header), Err(why), "{header:x?}");
        }
    }

    #[test]
    fn a_checksum_that_is_there_has_to_be_right() {
        let mut header = with_tlv(&[CHECKSUM, 0, 4, 0, 0, 0, 0]);
        let crc = crc32c(&header, FIXED + 12 + 3);
        header[FIXED + 12 + 3..].copy_from_slice(&crc.to_be_bytes());
        assert!(parse(&header).is_ok());
        for at in 0..header.len() {
            let mut damaged = header.clone();
            damaged[at] ^= 1;
            // LOCAL is not looked into, and another TLV is no checksum.
            assert!(matches!(at, 12 | 28) || parse(&damaged).is_err(), "{at}");
        }
        // The check value of CRC-32C (RFC 3720 appendix B.4 has more).
        assert_eq!(crc32c(b"123456789", 100), 0xe306_9283);
    }

    #[tokio::test]
    async fn not_a_byte_more_is_read() {
        let sent = [with_tlv(&[4, 0, 1, 0]), b"\x16\x03\x01".to_vec()].concat();
        let mut rest = &sent[..];
        assert!(matches!(read(&mut rest).await, Ok(Ok(Source::Client(_)))));
        assert_eq!(rest, b"\x16\x03\x01");
        let mut short = &sent[..20];
        assert!(read(&mut short).await.is_err(), "it ends too early");
    }
}
