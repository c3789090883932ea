//! The line that an Application Load Balancer writes of a connection
//! (docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-connection-logs.html).

use std::fmt::Write;

use time::OffsetDateTime;

use super::{ConnectionRecord, Validity};

/// Stands for what is not known.
const NONE: &str = "-";

impl ConnectionRecord<'_> {
    /// Its line in an Application Load Balancer's connection log, without an end of line: timestamp, client_ip, client_port,
    /// listener_port, tls_protocol, tls_cipher, tls_handshake_latency, leaf_client_cert_subject, leaf_client_cert_validity,
    /// leaf_client_cert_serial_number, tls_verify_status, conn_trace_id, tls_keyexchange.
    ///
    /// Whatever the record says, the line has 13 fields of printable ASCII between single spaces, and one pair of quotes at most.
    pub fn alb_line(&self) -> String {
        let established_us = i128::from(self.began_ms) * 1000 + i128::from(self.handshake_us.unwrap_or_default());
        let subject = self.client.as_ref().map(|client| quoted(&backwards(&client.subject)));
        let serial = self.client.as_ref().map(|client| hexadecimal(&client.serial));
        let validity = self.validity.map(|Validity { not_before, not_after }| {
            format!("NotBefore={};NotAfter={}", seconds(not_before), seconds(not_after))
        });
        let status = match (self.verdict, &self.truststore) {
            (Some(code), _) => Some(format!("Failed:{}", code.as_str())),
            (None, Some(_)) if self.handshake_us.is_some() => Some("Success".to_owned()),
            _ => None,
        };
        let fields = [
            moment(established_us),
            Some(self.source.ip().to_canonical().to_string()),
            Some(self.source.port().to_string()),
            Some(self.local.port().to_string()),
            Some(plain(&self.protocol)),
            Some(plain(&openssl_name(&self.cipher))),
            self.handshake_us.map(|micros| format!("{}.{:03}", micros / 1_000_000, micros / 1000 % 1000)),
            subject,
            validity,
            serial,
            status,
            Some(format!("TID_{}", plain(&self.id))),
            Some(plain(&self.key_exchange)),
        ];
        fields.map(|field| field.filter(|field| !field.is_empty()).unwrap_or_else(|| NONE.to_owned())).join(" ")
    }
}

/// `2023-10-04T17:05:15.514108Z`
fn moment(micros: i128) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp_nanos(micros.checked_mul(1000)?).ok()?;
    Some(format!("{}.{:06}Z", date_time(at), at.microsecond()))
}

/// `2023-09-21T22:43:21Z`; what is out of the range of years with four digits is `-`.
fn seconds(at: i64) -> String {
    OffsetDateTime::from_unix_timestamp(at).map_or_else(|_| NONE.to_owned(), |at| format!("{}Z", date_time(at)))
}

fn date_time(at: OffsetDateTime) -> String {
    let (date, time) = (at.date(), at.time());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
}

/// The load balancer has a subject's attributes in the order of RFC 2253, the last first; API Gateway, and we elsewhere, in the
/// certificate's own. A comma within a value has a backslash before it.
fn backwards(subject: &str) -> String {
    let mut parts = Vec::new();
    let (mut start, mut is_escaped) = (0, false);
    for (at, character) in subject.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            ',' => {
                parts.push(&subject[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&subject[start..]);
    parts.reverse();
    parts.join(",")
}

/// In quotes. What could end them, and all but printable ASCII, is `\xHH`, as is the backslash that this begins with.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => escape(&mut out, byte),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => escape(&mut out, byte),
        }
    }
    out.push('"');
    out
}

/// Without quotes, and therefore without spaces.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => escape(&mut out, byte),
            b'!'..=b'~' => out.push(char::from(byte)),
            _ => escape(&mut out, byte),
        }
    }
    out
}

fn escape(out: &mut String, byte: u8) {
    // Writing into a string does not fail.
    let _ = write!(out, "\\x{byte:02X}");
}

/// Serial numbers are decimal where they fit 64 bits, else hexadecimal with colons; here always `03A5B1`.
fn hexadecimal(serial: &str) -> String {
    match serial.parse::<u64>() {
        Ok(number) => {
            let digits = format!("{number:X}");
            if digits.len() % 2 == 0 { digits } else { format!("0{digits}") }
        }
        Err(_) => plain(&serial.replace(':', "")).to_ascii_uppercase(),
    }
}

/// The load balancer writes OpenSSL's names of TLS 1.2's cipher suites. Those of TLS 1.3 are the same everywhere.
fn openssl_name(cipher: &str) -> String {
    let Some((key_exchange, rest)) = cipher.strip_prefix("TLS_").and_then(|rest| rest.split_once("_WITH_")) else {
        return cipher.to_owned();
    };
    let rest = rest.strip_prefix("CHACHA20_POLY1305").map_or_else(
        || rest.replacen("AES_", "AES", 1),
        // OpenSSL does not name the hash of these.
        |_| "CHACHA20_POLY1305".to_owned(),
    );
    format!("{key_exchange}_{rest}").replace('_', "-")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{least, most};
    use super::super::{Client, ConnectionRecord, End};
    use super::*;

    fn of(subject: &str, serial: &str) -> ConnectionRecord<'static> {
        let client = Client {
            subject: subject.to_owned().into(),
            issuer: "".into(),
            serial: serial.to_owned().into(),
            fingerprint: "".into(),
        };
        ConnectionRecord { client: Some(client), ..most() }
    }

    /// The first is AWS's own example, from the documentation of the log.
    #[test]
    fn lines_are_the_load_balancers() {
        let good = ConnectionRecord {
            source: "203.0.113.1:36280".parse().unwrap(),
            verdict: None,
            validity: Some(Validity { not_before: 1_695_336_201, not_after: 1_781_736_201 }),
            ..of("C=US,ST=Washington,L=Seattle,O=endEntity,CN=amazondomains.com", "fe:f2:57:37:2d:5c:14:d4")
        };
        let missing = ConnectionRecord {
            client: None,
            validity: None,
            verdict: Some(trust::Code::ClientCertMissing),
            protocol: "TLSv1.3".into(),
            cipher: "TLS_AES_128_GCM_SHA256".into(),
            source: "[::ffff:203.0.113.1]:1".parse().unwrap(),
            ..most()
        };
        let unasked = ConnectionRecord { truststore: None, verdict: None, client: None, validity: None, ..most() };
        let cases = [
            (
                good,
                "2023-10-04T17:05:15.514108Z 203.0.113.1 36280 443 TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 4.036 \
                 \"CN=amazondomains.com,O=endEntity,L=Seattle,ST=Washington,C=US\" \
                 NotBefore=2023-09-21T22:43:21Z;NotAfter=2026-06-17T22:43:21Z FEF257372D5C14D4 Success \
                 TID_Mc7UVioPPHcEKPA= X25519",
            ),
            (
                missing,
                "2023-10-04T17:05:15.514108Z 203.0.113.1 1 443 TLSv1.3 TLS_AES_128_GCM_SHA256 4.036 - - - \
                 Failed:ClientCertMissing TID_Mc7UVioPPHcEKPA= X25519",
            ),
            (
                unasked,
                "2023-10-04T17:05:15.514108Z 192.0.2.1 36280 443 TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 4.036 - - - - \
                 TID_Mc7UVioPPHcEKPA= X25519",
            ),
            (least(), "1970-01-01T00:00:00.001000Z 192.0.2.1 36280 443 - - - - - - - TID_c -"),
        ];
        for (record, line) in cases {
            assert_eq!(record.alb_line(), line);
        }
    }

    #[test]
    fn values_have_the_load_balancers_forms() {
        for (subject, written) in [
            ("", ""),
            ("CN=x", "CN=x"),
            ("O=Acme\\, Inc.,CN=x", r"CN=x,O=Acme\x5C, Inc."),
            ("O=a\\\\,CN=x", r"CN=x,O=a\x5C\x5C"),
            ("CN=\\\"\" - Success", r"CN=\x5C\x22\x22 - Success"),
            ("CN=a\nb\u{1b}[2J", r"CN=a\x0Ab\x1B[2J"),
            ("CN=é", r"CN=\xC3\xA9"),
        ] {
            assert_eq!(quoted(&backwards(subject)), format!("\"{written}\""));
        }
        for (serial, written) in [("1", "01"), ("239025", "03A5B1"), ("ff:00:a1", "FF00A1"), ("x y", r"X\X20Y")] {
            assert_eq!(hexadecimal(serial), written);
        }
        for (iana, openssl) in [
            ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
            ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
            ("TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
            ("", ""),
        ] {
            assert_eq!(openssl_name(iana), openssl);
        }
    }

    proptest! {
        #[test]
        fn nobody_writes_into_the_line(subject in ".*", serial in ".*", id in ".*", other in ".*", times: [i64; 4], end in 0..End::ALL.len()) {
            let record = ConnectionRecord {
                began_ms: times[0],
                time_ms: times[1],
                validity: Some(Validity { not_before: times[2], not_after: times[3] }),
                id: id.into(),
                protocol: other.clone().into(),
                cipher: format!("TLS_{other}_WITH_{other}").into(),
                key_exchange: other.into(),
                end: End::ALL[end],
                ..of(&subject, &serial)
            };
            let line = record.alb_line();
            prop_assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
            let (before, rest) = line.split_once('"').unwrap();
            let (_, after) = rest.split_once('"').unwrap();
            prop_assert!(!after.contains('"'), "{line}");
            prop_assert_eq!(before.split(' ').count() + after.split(' ').count() - 1, 13, "{}", line);
        }
    }
}
