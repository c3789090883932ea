//! Values of strangers, escaped for where they stand.

use std::fmt::{self, Write};

use trust::ClientCert;

use super::CertificateField;

/// Bytes of one value that are logged; what is longer is cut and ends in `…`.
pub const MAX_VALUE_BYTES: usize = 16 * 1024;

/// Takes one variable's value and escapes it for its place while it is written. `-` where nothing is written.
///
/// In a JSON string it escapes as RFC 8259 section 7 wants (and line separators too); as a JSON value of its own it is a
/// number or a quoted string; everywhere else control characters, quotes and backslashes become `\xNN`, byte by byte, as
/// do bytes that are not UTF-8. In XML `<`, `>` and `&` become entities.
#[derive(Debug)]
pub struct Value<'a> {
    out: &'a mut String,
    place: Place,
    start: usize,
    written: Written,
    /// Bytes that may still come; `None` when the end was cut off.
    left: Option<usize>,
}

/// Where a variable stands in its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Inside a JSON string.
    JsonString,
    /// A JSON value of its own.
    JsonValue,
    Xml,
    Plain,
    /// Behind a bracket: filters take all up to the next one for one field, spaces too.
    Bracketed,
    /// In no line: nothing is escaped.
    Alone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Nothing,
    /// As a JSON value it has no quotes.
    Bare,
    Text,
}

impl<'a> Value<'a> {
    pub(super) fn new(place: Place, out: &'a mut String) -> Self {
        Self { start: out.len(), out, place, written: Written::Nothing, left: Some(MAX_VALUE_BYTES) }
    }

    /// Appends text.
    pub fn push_str(&mut self, text: &str) {
        let Some(left) = self.left else { return };
        if text.is_empty() {
            return;
        }
        self.begin_text();
        self.left = left.checked_sub(text.len());
        if self.left.is_some() {
            self.place.escape(text, self.out);
        } else {
            self.place.escape(&text[..text.floor_char_boundary(left)], self.out);
            self.out.push('…');
        }
    }

    /// Appends text with quotation marks around it; a JSON value of its own has them anyway.
    pub fn push_quoted(&mut self, text: &str) {
        if self.place == Place::JsonValue {
            self.begin_text();
            return self.push_str(text);
        }
        self.push_str("\"");
        self.push_str(text);
        self.push_str("\"");
    }

    /// Appends bytes that ought to be text; those that are not UTF-8 become `\xNN`.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            self.push_str(chunk.valid());
            for byte in chunk.invalid() {
                let Some(left) = self.left else { return };
                self.begin_text();
                self.left = left.checked_sub(1);
                if self.left.is_none() {
                    self.out.push('…');
                    return;
                }
                self.out.push_str(if self.place.is_json() { "\\\\x" } else { "\\x" });
                push_hex(*byte, self.out);
            }
        }
    }

    /// Appends a number; alone as a JSON value it has no quotes.
    pub fn push_number(&mut self, number: u64) {
        let mut digits = [0; 20];
        let mut start = digits.len();
        let mut rest = number;
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        match self.written {
            Written::Nothing => self.written = Written::Bare,
            Written::Bare | Written::Text => self.begin_text(),
        }
        self.out.extend(digits[start..].iter().map(|&digit| char::from(digit)));
    }

    /// Appends what `value` prints.
    pub fn push_display(&mut self, value: impl fmt::Display) {
        // Writing into a string fails only if `value` itself does; what it had printed until then stays.
        let _ = write!(self, "{value}");
    }

    /// Appends a member of the certificate, or all of it as an object.
    pub(super) fn push_certificate(&mut self, certificate: &ClientCert, field: CertificateField) {
        match field {
            CertificateField::All => self.push_object(certificate),
            CertificateField::ClientCertPem => self.push_str(&certificate.client_cert_pem),
            CertificateField::SubjectDn => self.push_str(&certificate.subject_dn),
            CertificateField::IssuerDn => self.push_str(&certificate.issuer_dn),
            CertificateField::SerialNumber => self.push_str(&certificate.serial_number),
            CertificateField::NotBefore => self.push_str(&certificate.validity.not_before),
            CertificateField::NotAfter => self.push_str(&certificate.validity.not_after),
            CertificateField::Sha256Fingerprint => self.push_str(&certificate.sha256_fingerprint),
            CertificateField::SubjectAlternativeNames => self.push_str(&certificate.subject_alternative_names),
        }
    }

    fn push_object(&mut self, certificate: &ClientCert) {
        let mut object = String::new();
        for (name, text) in [
            ("{\"clientCertPem\":", &certificate.client_cert_pem),
            (",\"subjectDN\":", &certificate.subject_dn),
            (",\"issuerDN\":", &certificate.issuer_dn),
            (",\"serialNumber\":", &certificate.serial_number),
            (",\"validity\":{\"notBefore\":", &certificate.validity.not_before),
            (",\"notAfter\":", &certificate.validity.not_after),
        ] {
            object.push_str(name);
            let mut member = Value::new(Place::JsonValue, &mut object);
            member.begin_text();
            member.push_str(text);
            member.finish();
        }
        object.push_str("}}");
        if self.place == Place::JsonValue {
            self.out.push_str(&object);
            self.written = Written::Bare;
        } else {
            // Every member was cut, so that the whole is bounded and stays an object.
            self.place.escape(&object, self.out);
            self.written = Written::Text;
        }
    }

    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.written == Written::Nothing
    }

    /// Ends the value.
    pub(super) fn finish(mut self) {
        if self.written == Written::Nothing {
            self.push_str("-");
        }
        if self.written == Written::Text && self.place == Place::JsonValue {
            self.out.push('"');
        }
    }

    fn begin_text(&mut self) {
        if self.written != Written::Text && self.place == Place::JsonValue {
            // Behind a number, if one was written first.
            self.out.insert(self.start, '"');
        }
        self.written = Written::Text;
    }
}

impl fmt::Write for Value<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

impl Place {
    /// Appends `text`, escaped. Runs of bytes that stay as they are go over in one piece.
    fn escape(self, text: &str, out: &mut String) {
        if self == Self::Alone {
            return out.push_str(text);
        }
        let mut copied = 0;
        let mut at = 0;
        let bytes = text.as_bytes();
        while at < bytes.len() {
            let length = match bytes[at] {
                b']' if self == Self::Bracketed => 1,
                0x20 | 0x21 | 0x23..=0x25 | 0x28..=0x3b | 0x3d | 0x3f..=0x5b | 0x5d..=0x7e => 0,
                b'\'' if self.is_json() => 0,
                b'<' | b'>' | b'&' if self != Self::Xml => 0,
                // The only leads of C1 controls (U+0080 to U+009F) and of U+2028 and U+2029.
                0xc2 if bytes[at + 1] < 0xa0 => 2,
                0xe2 if bytes[at + 1] == 0x80 && matches!(bytes[at + 2], 0xa8 | 0xa9) => 3,
                0x80.. => 0,
                _ => 1,
            };
            if length > 0 {
                out.push_str(&text[copied..at]);
                self.escape_one(&text[at..at + length], out);
                copied = at + length;
            }
            at += length.max(1);
        }
        out.push_str(&text[copied..]);
    }

    fn escape_one(self, one: &str, out: &mut String) {
        let short = match (self.is_json(), one) {
            (true, "\"") => "\\\"",
            (true, "\\") => "\\\\",
            (true, "\n") => "\\n",
            (true, "\r") => "\\r",
            (true, "\t") => "\\t",
            (false, "<") => "&lt;",
            (false, ">") => "&gt;",
            (false, "&") => "&amp;",
            _ => "",
        };
        if !short.is_empty() {
            out.push_str(short);
        } else if self.is_json() {
            for unit in one.encode_utf16() {
                out.push_str("\\u");
                let [high, low] = unit.to_be_bytes();
                push_hex(high, out);
                push_hex(low, out);
            }
        } else {
            for byte in one.bytes() {
                out.push_str("\\x");
                push_hex(byte, out);
            }
        }
    }

    fn is_json(self) -> bool {
        matches!(self, Self::JsonString | Self::JsonValue)
    }
}

fn push_hex(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}
