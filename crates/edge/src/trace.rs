//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>): who asks within a trace is answered within it, and the backend is asked as
//! a part of ours.

use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// `00-{32 hexadecimal digits}-{16}-{2}`
const LENGTH: usize = 55;
/// The flag that the trace is recorded.
const SAMPLED: u8 = 1;

/// A request's place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    id: [u8; 32],
    /// The client's part of it, if the trace is the client's.
    parent: Option<[u8; 16]>,
    /// Ours.
    span: [u8; 16],
}

impl Trace {
    /// That of a request, and puts it into its headers for the backend. A trace that cannot be read goes no further; where there is
    /// none, one is begun if `begins`. `random` gives 24 bytes.
    pub(crate) fn carry(headers: &mut HeaderMap, begins: bool, random: impl FnOnce() -> [u8; 24]) -> Option<Self> {
        let mut given = headers.get_all(TRACEPARENT).iter();
        let first = given.next();
        if first.is_none() && !begins {
            return None;
        }
        let parent = first.filter(|_| given.next().is_none()).and_then(|value| Parent::read(value.as_bytes()));
        if parent.is_none() {
            // What it says is of the trace that could not be read.
            headers.remove(TRACESTATE);
            if !begins {
                headers.remove(TRACEPARENT);
                return None;
            }
        }
        let random = random();
        let mut trace = Self { id: [0; 32], parent: parent.as_ref().map(|parent| parent.span), span: [0; 16] };
        HEXLOWER.encode_mut(&random[..8], &mut trace.span);
        let flags = match &parent {
            Some(parent) => {
                trace.id = parent.trace;
                parent.flags
            }
            None => {
                HEXLOWER.encode_mut(&random[8..], &mut trace.id);
                *b"01"
            }
        };
        let value = [b"00-", &trace.id[..], b"-", &trace.span[..], b"-", &flags[..]].concat();
        // Hexadecimal digits and dashes.
        headers.insert(TRACEPARENT, HeaderValue::from_bytes(&value).ok()?);
        Some(trace)
    }

    /// 32 hexadecimal digits.
    pub(crate) fn id(&self) -> &str {
        text(&self.id)
    }

    /// 16 hexadecimal digits.
    pub(crate) fn span(&self) -> &str {
        text(&self.span)
    }

    /// The same of the client's part; empty where the trace begins here.
    pub(crate) fn parent(&self) -> &str {
        self.parent.as_ref().map_or("", |parent| text(parent))
    }
}

/// Digits are ASCII.
fn text(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}

/// What a `traceparent` says.
struct Parent {
    trace: [u8; 32],
    span: [u8; 16],
    flags: [u8; 2],
}

impl Parent {
    /// Section 3.2. Later versions begin as this one does, and may have more behind a dash.
    fn read(value: &[u8]) -> Option<Self> {
        let (known, more) = value.split_at_checked(LENGTH)?;
        let (version, rest) = known.split_at(2);
        let (trace, rest) = rest.strip_prefix(b"-")?.split_first_chunk::<32>()?;
        let (span, rest) = rest.strip_prefix(b"-")?.split_first_chunk::<16>()?;
        let flags: &[u8; 2] = rest.strip_prefix(b"-")?.try_into().ok()?;
        let is_hexadecimal = |digits: &[u8]| digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let is_id = |digits: &[u8]| is_hexadecimal(digits) && digits.iter().any(|&digit| digit != b'0');
        let ends = if version == b"00" { more.is_empty() } else { matches!(more.first(), None | Some(b'-')) };
        let is_good = is_hexadecimal(version) && version != b"ff" && ends;
        if !is_good || !is_id(trace) || !is_id(span) || !is_hexadecimal(flags) {
            return None;
        }
        // Flags that this version does not know are not passed on (section 3.2.2.5).
        let sampled = HEXLOWER.decode(flags).is_ok_and(|flags| flags[0] & SAMPLED != 0);
        Some(Self { trace: *trace, span: *span, flags: if sampled { *b"01" } else { *b"00" } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn carry(values: &[&str], begins: bool) -> (Option<Trace>, Vec<String>, bool) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
        let trace = Trace::carry(&mut headers, begins, || std::array::from_fn(|n| n as u8 + 1));
        let left = headers.get_all(TRACEPARENT).iter().map(|value| value.to_str().unwrap().to_owned()).collect();
        (trace, left, headers.contains_key(TRACESTATE))
    }

    #[test]
    fn a_trace_goes_on_with_us_as_the_parent() {
        for (given, flags) in [
            (GIVEN.to_owned(), "01"),
            (GIVEN.replace("-01", "-00"), "00"),
            (GIVEN.replace("-01", "-fe"), "00"),
            (format!("cc{}-more", &GIVEN[2..]), "01"),
        ] {
            for begins in [false, true] {
                let (trace, left, has_state) = carry(&[&given], begins);
                let trace = trace.unwrap();
                assert_eq!(trace.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
                assert_eq!((trace.parent(), trace.span()), ("00f067aa0ba902b7", "0102030405060708"));
                assert_eq!(left, [format!("00-4bf92f3577b34da6a3ce929d0e0e4736-0102030405060708-{flags}")]);
                assert!(has_state);
            }
        }
    }

    #[test]
    fn what_is_no_trace_goes_no_further() {
        let zeros = |digits: &str| GIVEN.replace(digits, &"0".repeat(digits.len()));
        for given in [
            "",
            "00",
            &GIVEN[..54],
            &format!("{GIVEN}-more"),
            &format!("cc{}more", &GIVEN[2..]),
            &GIVEN.to_uppercase(),
            &format!("ff{}", &GIVEN[2..]),
            &GIVEN.replace('-', "_"),
            &zeros("4bf92f3577b34da6a3ce929d0e0e4736"),
            &zeros("00f067aa0ba902b7"),
            &GIVEN.replace("-01", "-0x"),
        ] {
            assert_eq!(carry(&[given], false), (None, vec![], false), "{given}");
            let (trace, left, _) = carry(&[given], true);
            assert_eq!((trace.unwrap().parent(), left.len()), ("", 1), "{given}");
        }
        assert_eq!(carry(&[GIVEN, GIVEN], false), (None, vec![], false));
    }

    #[test]
    fn one_is_begun_where_that_is_wished() {
        assert_eq!(carry(&[], false), (None, vec![], true), "nobody has looked");
        let (trace, left, _) = carry(&[], true);
        let id = "090a0b0c0d0e0f101112131415161718";
        assert_eq!(left, [format!("00-{id}-0102030405060708-01")]);
        assert_eq!((trace.unwrap().id(), trace.unwrap().parent()), (id, ""));
    }
}
