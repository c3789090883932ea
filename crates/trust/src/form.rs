//! What a file is that is no PEM, so that its owner can be told how to make PEM of it. A guess from the first bytes.

/// A form in which certificates and keys are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Text with two octets a character, as Windows' Notepad and PowerShell's `>` write it.
    Utf16,
    /// A certificate in DER.
    Der,
    /// `.p7b`, `.p7c`: certificates in a CMS container (RFC 5652).
    Pkcs7,
    /// `.p12`, `.pfx`: certificates and their keys (RFC 7292).
    Pkcs12,
    /// Java's own key store.
    JavaKeyStore,
}

/// What bytes hold that are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Form(Form),
    /// PKCS#1, PKCS#8 (encrypted or not) or SEC 1.
    PrivateKey,
}

impl Form {
    /// Its code as a finding.
    pub(crate) fn rule(self) -> crate::Rule {
        match self {
            Self::Utf16 => crate::Rule::Utf16,
            Self::Der => crate::Rule::Der,
            Self::Pkcs7 => crate::Rule::Pkcs7,
            Self::Pkcs12 => crate::Rule::Pkcs12,
            Self::JavaKeyStore => crate::Rule::JavaKeyStore,
        }
    }

    /// What it is, as the end of a sentence.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Utf16 => "UTF-16 text, not ASCII or UTF-8",
            Self::Der => "DER, not PEM",
            Self::Pkcs7 => "PKCS#7 (.p7b), not PEM",
            Self::Pkcs12 => "PKCS#12 (.p12, .pfx), which may hold a private key, not PEM",
            Self::JavaKeyStore => "a Java key store, not PEM",
        }
    }

    /// The command that makes PEM of it.
    pub(crate) fn conversion(self) -> &'static str {
        match self {
            Self::Utf16 => "convert it with iconv -f UTF-16 -t UTF-8 FILE > FILE.pem",
            Self::Der => "convert it with openssl x509 -inform DER -in FILE -out FILE.pem",
            Self::Pkcs7 => "convert it with openssl pkcs7 -inform DER -print_certs -in FILE -out FILE.pem",
            Self::Pkcs12 => "take the certificates out with openssl pkcs12 -nokeys -in FILE -out FILE.pem",
            Self::JavaKeyStore => "take the certificates out with keytool -list -rfc -keystore FILE > FILE.pem",
        }
    }
}

impl Content {
    /// Of a whole file.
    pub(crate) fn of_file(bytes: &[u8]) -> Option<Self> {
        let utf16 = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
            // Without a byte order mark: two hyphens.
            [b'-', 0, b'-', 0, ..] | [0, b'-', 0, b'-', ..] => true,
            _ => false,
        };
        match bytes {
            _ if utf16 => Some(Self::Form(Form::Utf16)),
            [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => Some(Self::Form(Form::JavaKeyStore)),
            _ => Self::of_der(bytes),
        }
    }

    /// Of the inside of a PEM block, or of a file. Indefinite lengths (BER) are read too: Java and Windows write them.
    pub(crate) fn of_der(bytes: &[u8]) -> Option<Self> {
        let inside = inside(bytes)?;
        match inside {
            [0x02, 1, 0 | 1, ..] => Some(Self::PrivateKey),
            [0x02, 1, 3, ..] => Some(Self::Form(Form::Pkcs12)),
            [0x06, length, rest @ ..] if rest.get(..usize::from(*length))?.starts_with(PKCS7) => {
                Some(Self::Form(Form::Pkcs7))
            }
            [0x30, length, 0x06, oid_length, rest @ ..] if *length < 0x80 => {
                let oid = rest.get(..usize::from(*oid_length))?;
                (oid.starts_with(PKCS5) || oid.starts_with(PKCS12_PBE)).then_some(Self::PrivateKey)
            }
            [0x30, ..] => Some(Self::Form(Form::Der)),
            _ => None,
        }
    }
}

/// 1.2.840.113549.1.7
const PKCS7: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7];
/// 1.2.840.113549.1.5, password-based encryption: the algorithm of an `EncryptedPrivateKeyInfo`.
const PKCS5: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5];
/// 1.2.840.113549.1.12.1, the same, older.
const PKCS12_PBE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1];

/// Content of a SEQUENCE that fills `bytes`, or whose length is indefinite.
fn inside(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [0x30, 0x80, rest @ ..] => Some(rest),
        [0x30, length, rest @ ..] if *length < 0x80 => (rest.len() == usize::from(*length)).then_some(rest),
        [0x30, count, rest @ ..] if (0x81..=0x84).contains(count) => {
            let (length, rest) = rest.split_at_checked(usize::from(count & 0x7f))?;
            let length = length.iter().fold(0_usize, |length, &octet| length << 8 | usize::from(octet));
            // A transfer in text mode may have added a line's end.
            (length <= rest.len() && rest.len() - length <= 2).then_some(rest)
        }
        _ => None,
    }
}
