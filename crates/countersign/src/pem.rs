//! PEM (RFC 7468), written.

/// A block with lines of 64 characters. Nothing is left behind of what is written, so that it does for private keys, in a
/// caller's `Zeroizing`.
pub(crate) fn write(label: &str, der: &[u8]) -> String {
    const LINE: usize = 48;
    let mut text = String::with_capacity(2 * label.len() + 40 + (der.len() / LINE + 1) * 65);
    text.extend(["-----BEGIN ", label, "-----\n"]);
    for line in der.chunks(LINE) {
        data_encoding::BASE64.encode_append(line, &mut text);
        text.push('\n');
    }
    text.extend(["-----END ", label, "-----\n"]);
    text
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{CertificateDer, pem::PemObject};

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 47, 48, 49, 1000] {
            let der = vec![0x5a; length];
            let text = super::write("CERTIFICATE", &der);
            assert_eq!(CertificateDer::from_pem_slice(text.as_bytes()).unwrap().as_ref(), der, "{text}");
            assert!(text.lines().all(|line| line.len() <= 64));
        }
    }
}
