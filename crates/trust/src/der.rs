//! Reading DER (X.690): tag, length, value, and no more. No input makes it panic.
//!
//! Names, keys and what is signed must be compared and verified as the very bytes that were sent, X.509 v1 and odd
//! serial numbers and dates must be read, and a first-seen leaf should cost no more than a microsecond to parse. So
//! certificates are read here, by slices; tests hold the result against x509-cert's.

/// One element.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    /// Identifier octet; numbers above 30 are refused (X.509 has none).
    pub tag: u8,
    /// The content octets.
    pub value: &'a [u8],
    /// Identifier, length and content octets.
    pub whole: &'a [u8],
    /// Where `whole` starts in the outermost input.
    pub at: usize,
}

/// Bytes that are not the DER expected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Malformed;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// `[number]`, primitive.
pub(crate) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// `[number]`, constructed.
pub(crate) const fn constructed(number: u8) -> u8 {
    0xa0 | number
}

/// Reads element after element.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element, whatever it is.
    pub(crate) fn any(&mut self) -> Result<Element<'a>, Malformed> {
        let (tag, length, header) = header(self.rest)?;
        let end = header.checked_add(length).ok_or(Malformed)?;
        let (whole, rest) = self.rest.split_at_checked(end).ok_or(Malformed)?;
        let element = Element { tag, value: &whole[header..], whole, at: self.at };
        self.at += end;
        self.rest = rest;
        Ok(element)
    }

    /// The next element, which must have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<Element<'a>, Malformed> {
        self.optional(tag)?.ok_or(Malformed)
    }

    /// The next element if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, Malformed> {
        if self.rest.first() == Some(&tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// Nothing may be left.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

impl<'a> Element<'a> {
    /// Reads what is inside.
    pub(crate) fn inside(&self) -> Reader<'a> {
        Reader { rest: self.value, at: self.at + (self.whole.len() - self.value.len()) }
    }

    /// A BOOLEAN's value.
    pub(crate) fn boolean(&self) -> Result<bool, Malformed> {
        match self.value {
            [0x00] => Ok(false),
            [0xff] => Ok(true),
            _ => Err(Malformed),
        }
    }

    /// The bits of a BIT STRING that fills whole octets.
    pub(crate) fn octet_aligned_bits(&self) -> Result<&'a [u8], Malformed> {
        match self.value {
            [0, bits @ ..] => Ok(bits),
            _ => Err(Malformed),
        }
    }
}

/// The only element in `bytes`, which must have this tag.
pub(crate) fn only(bytes: &[u8], tag: u8) -> Result<Element<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    let element = reader.expect(tag)?;
    reader.finish()?;
    Ok(element)
}

/// Tag, length of the content, and how many octets these two take.
fn header(bytes: &[u8]) -> Result<(u8, usize, usize), Malformed> {
    let [tag, first, ..] = *bytes else { return Err(Malformed) };
    if tag & 0x1f == 0x1f {
        return Err(Malformed);
    }
    if first < 0x80 {
        return Ok((tag, usize::from(first), 2));
    }
    let count = usize::from(first & 0x7f);
    // X.690 section 10.1: the definite form in the fewest octets. Four octets are 4 GiB, more than anybody reads.
    if !(1..=4).contains(&count) {
        return Err(Malformed);
    }
    let octets = bytes.get(2..2 + count).ok_or(Malformed)?;
    let length = octets.iter().fold(0_usize, |length, &octet| length << 8 | usize::from(octet));
    if octets[0] == 0 || length < 0x80 {
        return Err(Malformed);
    }
    Ok((tag, length, 2 + count))
}

/// Dotted decimal of an OBJECT IDENTIFIER's content octets.
pub(crate) fn dotted(oid: &[u8]) -> Result<String, Malformed> {
    if oid.is_empty() || oid.len() > 64 || oid[oid.len() - 1] & 0x80 != 0 {
        return Err(Malformed);
    }
    let mut text = String::new();
    let mut arc = 0_u64;
    for &octet in oid {
        arc = arc.checked_mul(128).and_then(|arc| arc.checked_add(u64::from(octet & 0x7f))).ok_or(Malformed)?;
        if octet & 0x80 != 0 {
            continue;
        }
        if text.is_empty() {
            let root = (arc / 40).min(2);
            text = format!("{root}.{}", arc - root * 40);
        } else {
            text.push('.');
            text.push_str(&arc.to_string());
        }
        arc = 0;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_definite_and_minimal() {
        for (bytes, length) in [
            (&[0x04, 0x00][..], Some(0)),
            (&[0x04, 0x01, 0xaa], Some(1)),
            (&[0x04, 0x80, 0x00, 0x00], None),
            (&[0x04, 0x81, 0x01, 0xaa], None),
            (&[0x04, 0x82, 0x00, 0x81], None),
            (&[0x04, 0x02, 0xaa], None),
            (&[0x04, 0x84, 0xff, 0xff, 0xff, 0xff], None),
            (&[0x04, 0x85, 0x01, 0, 0, 0, 0], None),
            (&[0x1f, 0x81, 0x00, 0x00], None),
            (&[0x04], None),
            (&[], None),
        ] {
            assert_eq!(Reader::new(bytes).any().ok().map(|e| e.value.len()), length, "{bytes:02x?}");
        }
    }

    #[test]
    fn oids_print_dotted() {
        for (oid, text) in [
            (&[0x55, 0x04, 0x03][..], Some("2.5.4.3")),
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01], Some("1.2.840.113549.1.9.1")),
            (&[0x88, 0x37, 0x03], Some("2.999.3")),
            (&[0x2a, 0x86], None),
            (&[], None),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], None),
        ] {
            assert_eq!(dotted(oid).ok().as_deref(), text);
        }
    }
}
