//! Values of records, in the form of a zone file as Route 53 takes them: `\052` is octal there.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use hickory_proto::rr::rdata::{self as wire, NULL};
use hickory_proto::rr::{Name as WireName, RData, RecordType};
use model::dns::{Name, NameError};

const MAX_STRING_BYTES: usize = 255;
/// The types of which a name has one record at most.
const ALONE: [&str; 2] = ["CNAME", "SOA"];

/// A field of a value.
struct Field {
    bytes: Vec<u8>,
    quoted: bool,
}

/// What is wrong with a field or a value, in Route 53's words.
type Why = String;

/// What is wrong with the values of a set of a type.
pub(super) fn wrong(record_type: &str, values: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    if values.is_empty() {
        wrong.push("Invalid Resource Record Set: it has no ResourceRecord".to_owned());
    }
    if ALONE.contains(&record_type) && values.len() > 1 {
        wrong.push(format!("An RRSet of type {record_type} must have exactly one ResourceRecord"));
    }
    for (index, value) in values.iter().enumerate() {
        if values[..index].contains(value) {
            wrong.push(format!("Duplicate Resource Record: '{value}'"));
        }
        if let Err(why) = rdata(record_type, value) {
            wrong.push(format!("Invalid Resource Record: 'FATAL problem: {why} encountered with '{value}''"));
        }
    }
    wrong
}

/// What a value of a type of Route 53's is on the wire.
pub(super) fn rdata(record_type: &str, value: &str) -> Result<RData, String> {
    let fields = fields(value)?;
    match record_type {
        "A" => text(&fields, "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)", Ipv4Addr::from_str)
            .map(|address| RData::A(wire::A(address))),
        "AAAA" => text(&fields, "AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)", Ipv6Addr::from_str)
            .map(|address| RData::AAAA(wire::AAAA(address))),
        "CNAME" => only_name(&fields).map(|name| RData::CNAME(wire::CNAME(name))),
        "NS" => only_name(&fields).map(|name| RData::NS(wire::NS(name))),
        "PTR" => only_name(&fields).map(|name| RData::PTR(wire::PTR(name))),
        "MX" => {
            let [preference, exchange] = exactly(&fields, "MXRRDATANotTwoFields (MX record doesn't have 2 fields)")?;
            Ok(RData::MX(wire::MX::new(number(preference)?, name(exchange)?)))
        }
        "SRV" => {
            let [priority, weight, port, target] =
                exactly(&fields, "SRVRRDATANotFourFields (SRV record doesn't have 4 fields)")?;
            Ok(RData::SRV(wire::SRV::new(number(priority)?, number(weight)?, number(port)?, name(target)?)))
        }
        "SOA" => {
            let [primary, mailbox, serial, refresh, retry, expire, minimum] =
                exactly(&fields, "SOARRDATANotSevenFields (SOA record doesn't have 7 fields)")?;
            let times = (number(refresh)?, number(retry)?, number(expire)?);
            let (primary, mailbox) = (name(primary)?, name(mailbox)?);
            Ok(RData::SOA(wire::SOA::new(
                primary,
                mailbox,
                number(serial)?,
                times.0,
                times.1,
                times.2,
                number(minimum)?,
            )))
        }
        "TXT" => Ok(RData::TXT(wire::TXT::from_bytes(strings(&fields)?))),
        "SPF" => {
            let strings = strings(&fields)?;
            Ok(opaque(99, strings.into_iter().flat_map(with_length).collect()))
        }
        "CAA" => caa(&fields),
        "NAPTR" => naptr(&fields),
        "DS" => {
            let [tag, algorithm, digest_type, digest] =
                exactly(&fields, "DSRRDATANotFourFields (DS record doesn't have 4 fields)")?;
            let head = [number::<u16>(tag)?.to_be_bytes().to_vec(), vec![number(algorithm)?, number(digest_type)?]];
            Ok(opaque(43, [head.concat(), hex(digest)?].concat()))
        }
        "TLSA" => {
            let [usage, selector, matching, data] =
                exactly(&fields, "TLSARRDATANotFourFields (TLSA record doesn't have 4 fields)")?;
            Ok(opaque(52, [vec![number(usage)?, number(selector)?, number(matching)?], hex(data)?].concat()))
        }
        "SSHFP" => {
            let [algorithm, of, print] =
                exactly(&fields, "SSHFPRRDATANotThreeFields (SSHFP record doesn't have 3 fields)")?;
            Ok(opaque(44, [vec![number(algorithm)?, number(of)?], hex(print)?].concat()))
        }
        "SVCB" => service(RecordType::SVCB, value),
        "HTTPS" => service(RecordType::HTTPS, value),
        other => Err(format!("UnsupportedType (There are no records of type {other})")),
    }
}

/// RFC 8659.
fn caa(fields: &[Field]) -> Result<RData, Why> {
    let [flags, tag, value] = exactly(fields, "CAARRDATANotThreeFields (CAA record doesn't have 3 fields)")?;
    let allowed = !tag.bytes.is_empty() && tag.bytes.len() <= 15 && tag.bytes.iter().all(u8::is_ascii_alphanumeric);
    if !allowed {
        return Err("CAAInvalidTag (The tag of a CAA record has letters and digits only)".to_owned());
    }
    if !value.quoted {
        return Err("InvalidCharacterString (Value should be enclosed in quotation marks)".to_owned());
    }
    Ok(opaque(257, [vec![number(flags)?], with_length(&tag.bytes), value.bytes.clone()].concat()))
}

/// RFC 3403.
fn naptr(fields: &[Field]) -> Result<RData, Why> {
    let [order, preference, flags, services, expression, replacement] =
        exactly(fields, "NAPTRRRDATANotSixFields (NAPTR record doesn't have 6 fields)")?;
    let texts = [flags, services, expression].map(|field| strings(std::slice::from_ref(field)));
    let [flags, services, expression] = texts;
    Ok(RData::NAPTR(wire::NAPTR::new(
        number(order)?,
        number(preference)?,
        flags?.concat().into(),
        services?.concat().into(),
        expression?.concat().into(),
        name(replacement)?,
    )))
}

/// RFC 9460. Its parameters are many, and the library's.
fn service(record_type: RecordType, value: &str) -> Result<RData, Why> {
    RData::try_from_str(record_type, value).map_err(|error| format!("SVCBRRDATAInvalid ({error})"))
}

/// Takes a value apart at its spaces, but for those in quotation marks.
fn fields(value: &str) -> Result<Vec<Field>, Why> {
    if !value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        return Err("UnsupportedCharacter (Value contains unsupported characters)".to_owned());
    }
    let mut fields = Vec::new();
    let mut rest = value.trim_ascii().as_bytes();
    while let Some(first) = rest.first() {
        let quoted = *first == b'"';
        let (bytes, after) = field(if quoted { &rest[1..] } else { rest }, quoted)?;
        fields.push(Field { bytes, quoted });
        let separated = after.first().is_none_or(u8::is_ascii_whitespace);
        if !separated {
            return Err("InvalidCharacterString (Values should be separated by a space)".to_owned());
        }
        rest = after.trim_ascii_start();
    }
    if fields.is_empty() {
        return Err("EmptyValue (Value is empty)".to_owned());
    }
    Ok(fields)
}

/// A field, without the quotation mark at its end, and what follows it. A name's escapes are left for the name.
fn field(mut rest: &[u8], quoted: bool) -> Result<(Vec<u8>, &[u8]), Why> {
    let mut bytes = Vec::new();
    loop {
        match rest {
            [] if quoted => {
                return Err("InvalidCharacterString (Value should be enclosed in quotation marks)".to_owned());
            }
            [] => return Ok((bytes, rest)),
            [b'"', after @ ..] if quoted => return Ok((bytes, after)),
            [b' ' | b'\t', ..] if !quoted => return Ok((bytes, rest)),
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if quoted => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            [b'\\', escaped, after @ ..] if quoted => {
                bytes.push(*escaped);
                rest = after;
            }
            [byte, after @ ..] => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
}

fn exactly<'f, const N: usize>(fields: &'f [Field], why: &str) -> Result<&'f [Field; N], Why> {
    fields.try_into().map_err(|_| why.to_owned())
}

fn text<T, E>(fields: &[Field], why: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, Why> {
    match fields {
        [field] => {
            std::str::from_utf8(&field.bytes).ok().and_then(|text| parse(text).ok()).ok_or_else(|| why.to_owned())
        }
        _ => Err(why.to_owned()),
    }
}

fn number<T: FromStr>(field: &Field) -> Result<T, Why> {
    text(std::slice::from_ref(field), "InvalidNumber (Value is not a number in range)", T::from_str)
}

fn hex(field: &Field) -> Result<Vec<u8>, Why> {
    HEXLOWER_PERMISSIVE.decode(&field.bytes).map_err(|_| "InvalidHex (Value is not in hexadecimal form)".to_owned())
}

fn only_name(fields: &[Field]) -> Result<WireName, Why> {
    let [field] = exactly(fields, "DomainNameNotOneField (Value is not one domain name)")?;
    name(field)
}

fn name(field: &Field) -> Result<WireName, Why> {
    let parsed = std::str::from_utf8(&field.bytes).map_err(|_| NameError::Character).and_then(Name::parse);
    on_the_wire(&parsed.map_err(|why| why.to_string())?).map_err(|error| error.to_string())
}

/// A name, as the library has it.
pub(super) fn on_the_wire(name: &Name) -> Result<WireName, hickory_proto::ProtoError> {
    let mut wire = WireName::from_labels(name.labels())?;
    wire.set_fqdn(true);
    Ok(wire)
}

/// Strings of at most 255 bytes, each in quotation marks.
fn strings(fields: &[Field]) -> Result<Vec<&[u8]>, Why> {
    if fields.iter().any(|field| !field.quoted) {
        return Err("InvalidCharacterString (Value should be enclosed in quotation marks)".to_owned());
    }
    if fields.iter().any(|field| field.bytes.len() > MAX_STRING_BYTES) {
        return Err("CharacterStringTooLong (Value is too long)".to_owned());
    }
    Ok(fields.iter().map(|field| field.bytes.as_slice()).collect())
}

fn with_length(string: &[u8]) -> Vec<u8> {
    // No string is longer: `strings` has seen to that, and a tag is short.
    let length = u8::try_from(string.len()).unwrap_or(u8::MAX);
    [&[length], string].concat()
}

fn opaque(code: u16, bytes: Vec<u8>) -> RData {
    RData::Unknown { code: RecordType::from(code), rdata: NULL::with(bytes) }
}

#[cfg(test)]
mod tests {
    use hickory_proto::serialize::binary::BinEncodable;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_that_are_taken() {
        for (of, value, expected) in [
            ("A", "192.0.2.1", "c0000201"),
            ("AAAA", "2001:db8::1", "20010db8000000000000000000000001"),
            ("CNAME", "a.example.com", "0161076578616d706c6503636f6d00"),
            ("NS", "\\052.A.", "012a016100"),
            ("MX", "10 a.", "000a016100"),
            ("SRV", "1 2 443 a", "0001000201bb016100"),
            ("SOA", "a. b. 1 2 3 4 5", "0161000162000000000100000002000000030000000400000005"),
            ("TXT", "\"a b\" \"\\042\\\"\"", "0361206202"),
            ("SPF", "\"v\"", "0176"),
            ("CAA", "0 issue \"ca.example\"", "0005697373756563612e6578616d706c65"),
            ("NAPTR", "1 2 \"U\" \"S\" \"\" .", "000100020155015300"),
            ("DS", "1 8 2 ABcd", "00010802abcd"),
            ("TLSA", "3 1 1 00ff", "03010100ff"),
            ("SSHFP", "4 2 00ff", "040200ff"),
            ("HTTPS", "1 . alpn=\"h2\"", "000100000100030268 32"),
        ] {
            let rdata = rdata(of, value).unwrap_or_else(|why| panic!("{of} {value}: {why}"));
            let bytes = HEXLOWER_PERMISSIVE.encode(&rdata.to_bytes().unwrap());
            assert!(bytes.starts_with(&expected.replace(' ', "")), "{of} {value}: {bytes}");
        }
    }

    #[test]
    fn values_that_are_not() {
        for (of, value, why) in [
            ("A", "192.0.2", "ARRDATAIllegalIPv4Address"),
            ("A", "192.0.2.1 192.0.2.2", "ARRDATAIllegalIPv4Address"),
            ("A", "::1", "ARRDATAIllegalIPv4Address"),
            ("AAAA", "192.0.2.1", "AAAARRDATAIllegalIPv6Address"),
            ("CNAME", "a b", "DomainNameNotOneField"),
            ("CNAME", "a..b", "DomainLabelEmpty"),
            ("MX", "a", "MXRRDATANotTwoFields"),
            ("MX", "70000 a", "InvalidNumber"),
            ("TXT", "a", "InvalidCharacterString"),
            ("TXT", "\"a", "InvalidCharacterString"),
            ("TXT", "\"a\"\"b\"", "InvalidCharacterString"),
            ("TXT", "\"ä\"", "UnsupportedCharacter"),
            ("TXT", "", "EmptyValue"),
            ("CAA", "0 issue ca.example", "InvalidCharacterString"),
            ("CAA", "0 is-sue \"x\"", "CAAInvalidTag"),
            ("DS", "1 8 2 xyz", "InvalidHex"),
            ("HTTPS", "1", "SVCBRRDATAInvalid"),
            ("WKS", "1", "UnsupportedType"),
        ] {
            let found = rdata(of, value).unwrap_err();
            assert!(found.starts_with(why), "{of} {value}: {found}");
        }
        assert!(rdata("TXT", &format!("\"{}\"", "a".repeat(256))).unwrap_err().starts_with("CharacterStringTooLong"));
        let twice = ["192.0.2.1".to_owned(), "192.0.2.1".to_owned()];
        assert_eq!(wrong("A", &twice), ["Duplicate Resource Record: '192.0.2.1'"]);
        assert_eq!(wrong("CNAME", &["a.".to_owned(), "b.".to_owned()]).len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_makes_it_panic(index in 0..aws::route53::RRType::ALL.len(), value in "([a-z0-9 .\"\\\\=,]{0,30})|(\\PC{0,20})|([0-9]{1,3} [a.]{1,4} [a-z]{1,9}=\"?[0-9a-z,:.\\\\]{0,9}\"?)") {
            if let Ok(rdata) = rdata(aws::route53::RRType::ALL[index].as_str(), &value) {
                let _ = rdata.to_bytes();
            }
        }
    }
}
