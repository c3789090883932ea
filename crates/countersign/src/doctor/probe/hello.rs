//! A ClientHello by hand (RFC 5246 section 7.4.1.2), for what no current TLS library offers any more. The connection ends with
//! the server's answer to it: nothing is agreed on, nothing is sent under it.

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tls10,
    Tls11,
    /// TLS 1.2 with nothing but cipher suites that should be off.
    WeakCiphers,
}

/// A server that takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Hello {
    /// As on the wire: 0x0301 is TLS 1.0.
    pub(in crate::doctor) version: u16,
    pub(in crate::doctor) cipher: u16,
}

/// Suites of TLS 1.0 and 1.1 that servers with these versions have.
const OLD_CIPHERS: &[u16] =
    &[0xc014, 0xc013, 0xc00a, 0xc009, 0x0039, 0x0033, 0x0035, 0x002f, 0xc012, 0xc008, 0x0016, 0x000a, 0x0005];
/// Without forward secrecy (RSA key exchange), 3DES, RC4, without encryption or authentication, and those for export.
const WEAK_CIPHERS: &[(u16, &str)] = &[
    (0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384"),
    (0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256"),
    (0x003d, "TLS_RSA_WITH_AES_256_CBC_SHA256"),
    (0x003c, "TLS_RSA_WITH_AES_128_CBC_SHA256"),
    (0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"),
    (0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"),
    (0xc012, "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0xc008, "TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA"),
    (0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0xc011, "TLS_ECDHE_RSA_WITH_RC4_128_SHA"),
    (0x0005, "TLS_RSA_WITH_RC4_128_SHA"),
    (0x003b, "TLS_RSA_WITH_NULL_SHA256"),
    (0x0002, "TLS_RSA_WITH_NULL_SHA"),
    (0x006d, "TLS_DH_anon_WITH_AES_256_CBC_SHA256"),
    (0xc019, "TLS_ECDH_anon_WITH_AES_256_CBC_SHA"),
    (0x0003, "TLS_RSA_EXPORT_WITH_RC4_40_MD5"),
];
const TLS12: u16 = 0x0303;
/// Of a record that is read: a ServerHello is far smaller.
const MAX_RECORD_BYTES: usize = 16 * 1024;

impl Kind {
    pub(super) fn message(self, name: &ServerName<'_>) -> Vec<u8> {
        let (version, ciphers): (u16, Vec<u16>) = match self {
            Self::Tls10 => (0x0301, OLD_CIPHERS.to_vec()),
            Self::Tls11 => (0x0302, OLD_CIPHERS.to_vec()),
            Self::WeakCiphers => (TLS12, WEAK_CIPHERS.iter().map(|(cipher, _)| *cipher).collect()),
        };
        let mut body = version.to_be_bytes().to_vec();
        let mut random = [0; 32];
        // Nothing depends on it: no handshake is finished. Without randomness zeros do.
        let _ = aws_lc_rs::rand::fill(&mut random);
        body.extend(random);
        body.push(0); // no session
        body.extend(sized16(&ciphers.iter().flat_map(|cipher| cipher.to_be_bytes()).collect::<Vec<_>>()));
        body.extend([1, 0]); // no compression
        body.extend(sized16(&extensions(self, name)));
        let mut handshake = vec![1, 0]; // client_hello, and the length's first octet
        handshake.extend(sized16(&body));
        let mut record = vec![22, 3, 1];
        record.extend(sized16(&handshake));
        record
    }
}

fn extensions(kind: Kind, name: &ServerName<'_>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut put = |id: u16, content: &[u8]| {
        all.extend(id.to_be_bytes());
        all.extend(sized16(content));
    };
    if let ServerName::DnsName(name) = name {
        let mut entry = vec![0];
        entry.extend(sized16(name.as_ref().as_bytes()));
        put(0, &sized16(&entry));
    }
    // secp256r1, secp384r1, secp521r1, x25519; uncompressed points.
    put(10, &sized16(&[0, 23, 0, 24, 0, 25, 0, 29]));
    put(11, &[1, 0]);
    if kind == Kind::WeakCiphers {
        // ECDSA, RSA-PSS and RSA with SHA-256, SHA-384 and SHA-1.
        put(13, &sized16(&[4, 3, 5, 3, 8, 4, 8, 5, 4, 1, 5, 1, 2, 1, 2, 3]));
    }
    // extended_master_secret, session_ticket, renegotiation_info
    put(23, &[]);
    put(0xff01, &[0]);
    all
}

/// With its length before it.
fn sized16(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a name has 253 octets at most, and all else is fixed");
    let mut sized = length.to_be_bytes().to_vec();
    sized.extend_from_slice(content);
    sized
}

impl Hello {
    /// None: the server does not take it.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut head = [0; 5];
        stream.read_exact(&mut head).await.ok()?;
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        if head[0] != 22 || length > MAX_RECORD_BYTES {
            return None;
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        Self::parse(&body)
    }

    /// Of a handshake message: type and length, version, random, session id, cipher suite.
    fn parse(body: &[u8]) -> Option<Self> {
        let [2, _, _, _, rest @ ..] = body else { return None };
        let version = u16::from_be_bytes([*rest.first()?, *rest.get(1)?]);
        let session = usize::from(*rest.get(34)?);
        let cipher = rest.get(35 + session..37 + session)?;
        Some(Self { version, cipher: u16::from_be_bytes([cipher[0], cipher[1]]) })
    }

    pub(super) fn is_old_version(&self) -> bool {
        self.version < TLS12
    }

    pub(super) fn is_weak_cipher(&self) -> bool {
        WEAK_CIPHERS.iter().any(|(cipher, _)| *cipher == self.cipher)
    }

    pub(in crate::doctor) fn version_name(&self) -> &'static str {
        match self.version {
            0x0300 => "SSL 3.0",
            0x0301 => "TLS 1.0",
            0x0302 => "TLS 1.1",
            _ => "TLS 1.2",
        }
    }

    pub(in crate::doctor) fn cipher_name(&self) -> String {
        let known = WEAK_CIPHERS.iter().find(|(cipher, _)| *cipher == self.cipher);
        known.map_or_else(|| format!("0x{:04x}", self.cipher), |(_, name)| (*name).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_add_up() {
        for name in ["a.example", "127.0.0.1"] {
            let name = ServerName::try_from(name).unwrap();
            for kind in [Kind::Tls10, Kind::Tls11, Kind::WeakCiphers] {
                let message = kind.message(&name);
                let length = |place: usize| usize::from(u16::from_be_bytes([message[place], message[place + 1]]));
                assert_eq!(length(3) + 5, message.len());
                assert_eq!(length(7) + 9, message.len());
            }
        }
    }

    #[test]
    fn strangers_bytes() {
        let mut hello = vec![2, 0, 0, 40, 3, 1];
        hello.extend([7; 32]);
        hello.extend([2, 9, 9, 0x00, 0x2f, 0]);
        assert_eq!(Hello::parse(&hello), Some(Hello { version: 0x0301, cipher: 0x002f }));
        for length in 0..hello.len() - 1 {
            assert_eq!(Hello::parse(&hello[..length]), None, "{length}");
        }
        assert_eq!(Hello::parse(&[1, 2, 3, 4, 5]), None);
    }
}
