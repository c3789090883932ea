//! The revoked certificates of a list: each takes as many octets as the widest serial number has, and little more than
//! five.

use std::cmp::Ordering;

use super::{CrlFault, Of, Reason, Revoked};
use crate::der::{self, Element, Reader};
use crate::{UnixSeconds, extensions, time};

/// Octets of a serial number. RFC 5280 section 4.1.2.2 allows 20; these take 21 where the first bit is a one.
const MAX_SERIAL: usize = 64;

/// Entries between two fences.
const BLOCK: usize = 32;

/// Serial numbers in order, and in the same order what is said of each.
#[derive(Default)]
pub(super) struct Entries {
    /// Octets of a serial number: all are as wide as the widest, signs extended, so that each is found by its place.
    width: usize,
    serials: Box<[u8]>,
    /// [`prefix`] of every [`BLOCK`]th serial number. These few stay in the processor's cache, so that a search misses it
    /// a few times only.
    fences: Box<[u64]>,
    /// Seconds since 1970.
    times: Box<[u32]>,
    reasons: Box<[Reason]>,
}

impl Entries {
    /// Of `revokedCertificates`.
    pub(super) fn parse(revoked: Element<'_>, version: u8) -> Result<Self, CrlFault> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        let mut list = revoked.inside();
        while !list.is_empty() {
            rows.extend(Row::parse(&mut list, version)?);
        }
        let width = rows.iter().map(|row| row.serial.len()).max().unwrap_or(0);
        for row in &mut rows {
            row.prefix = prefix(row.serial, width);
        }
        rows.sort_by(Row::order);
        let mut serials = Vec::with_capacity(rows.len() * width);
        for row in &rows {
            serials.resize(serials.len() + width - row.serial.len(), sign(row.serial));
            serials.extend_from_slice(row.serial);
        }
        Ok(Self {
            width,
            serials: serials.into_boxed_slice(),
            fences: rows.iter().step_by(BLOCK).map(|row| row.prefix).collect(),
            times: rows.iter().map(|row| row.time).collect(),
            reasons: rows.iter().map(|row| row.reason).collect(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether a serial number is here that is not in `other`.
    pub(super) fn has_more_than(&self, other: &Self) -> bool {
        let same = self.width == other.width && self.serials == other.serials;
        !same && self.serials.chunks_exact(self.width.max(1)).any(|serial| other.find(serial).is_none())
    }

    pub(super) fn find(&self, serial: &[u8]) -> Option<Revoked> {
        let serial = minimal(serial);
        if serial.is_empty() || serial.len() > self.width {
            return None;
        }
        let first = prefix(serial, self.width);
        let mut wanted = [sign(serial); MAX_SERIAL];
        let wanted = &mut wanted[..self.width];
        wanted[self.width - serial.len()..].copy_from_slice(serial);
        // Several may begin alike: from the block before the first fence that does, to the end of the last that does.
        let mut low = self.fences.partition_point(|&fence| fence < first).saturating_sub(1) * BLOCK;
        let mut high = self.len().min(self.fences.partition_point(|&fence| fence <= first) * BLOCK);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.serials[middle * self.width..][..self.width].cmp(wanted) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => {
                    let at = UnixSeconds::from(self.times[middle]);
                    return Some(Revoked { at, reason: self.reasons[middle] });
                }
            }
        }
        None
    }
}

/// An entry that was just read.
struct Row<'a> {
    /// The first octets of the serial number in its final width, so that most comparisons need look no further.
    prefix: u64,
    /// Content octets in the fewest.
    serial: &'a [u8],
    time: u32,
    reason: Reason,
}

impl<'a> Row<'a> {
    /// The next entry; none if it says that a certificate is not revoked any more.
    fn parse(list: &mut Reader<'a>, version: u8) -> Result<Option<Self>, CrlFault> {
        const FIELD: &str = "revokedCertificates";
        let mut fields = list.expect(der::SEQUENCE).of(FIELD)?.inside();
        let serial = minimal(fields.expect(der::INTEGER).of(FIELD)?.value);
        if !(1..=MAX_SERIAL).contains(&serial.len()) {
            return Err(CrlFault::Malformed("userCertificate"));
        }
        let time = fields.any().and_then(time::unix).of("revocationDate")?;
        let time = u32::try_from(time.max(0)).unwrap_or(u32::MAX);
        let extensions = fields.optional(der::SEQUENCE).of("crlEntryExtensions")?;
        fields.finish().of(FIELD)?;
        let reason = match extensions {
            None => Some(Reason::Unspecified),
            Some(_) if version == 1 => return Err(CrlFault::Malformed("version")),
            Some(extensions) => reason(extensions)?,
        };
        Ok(reason.map(|reason| Self { prefix: 0, serial, time, reason }))
    }

    /// That of the serial numbers in their final width.
    fn order(&self, other: &Self) -> Ordering {
        let rest = || {
            let by_length = match sign(self.serial) {
                0 => self.serial.len().cmp(&other.serial.len()),
                _ => other.serial.len().cmp(&self.serial.len()),
            };
            by_length.then_with(|| self.serial.cmp(other.serial))
        };
        self.prefix.cmp(&other.prefix).then_with(rest)
    }
}

/// What an entry's extensions (RFC 5280 section 5.3) say; `None` for removeFromCRL.
fn reason(extensions: Element<'_>) -> Result<Option<Reason>, CrlFault> {
    const FIELD: &str = "crlEntryExtensions";
    const ENUMERATED: u8 = 0x0a;
    let mut list = extensions.inside();
    let mut reason = Some(Reason::Unspecified);
    while !list.is_empty() {
        let (oid, critical, value) = extensions::extension(&mut list).of(FIELD)?;
        match oid {
            [0x55, 0x1d, 21] => {
                let code = der::only(value, ENUMERATED).of("reasonCode")?;
                reason = Reason::of(code.value).of("reasonCode")?;
            }
            [0x55, 0x1d, 29] => return Err(CrlFault::Indirect),
            other if critical => return Err(CrlFault::UnknownCritical(der::dotted(other).of(FIELD)?)),
            _ => {}
        }
    }
    Ok(reason)
}

/// An INTEGER's content without needless octets at its start, which some certificates have.
fn minimal(mut integer: &[u8]) -> &[u8] {
    while let [0x00, 0x00..=0x7f, ..] | [0xff, 0x80..=0xff, ..] = integer {
        integer = &integer[1..];
    }
    integer
}

/// The octet with which an INTEGER's content is made wider.
fn sign(integer: &[u8]) -> u8 {
    if integer.first().is_some_and(|first| first & 0x80 != 0) { 0xff } else { 0x00 }
}

/// The first eight octets of an INTEGER's content that is made as wide as `width`.
fn prefix(integer: &[u8], width: usize) -> u64 {
    let mut octets = [sign(integer); 8];
    let skipped = width - integer.len();
    for (octet, value) in octets.iter_mut().skip(skipped).zip(integer) {
        *octet = *value;
    }
    // Beyond a narrow one's end nothing differs.
    u64::from_be_bytes(octets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::der::Malformed;

    fn integer(content: &[u8]) -> Vec<u8> {
        [&[der::INTEGER, content.len() as u8], content].concat()
    }

    /// A list of these serial numbers, with dates in the same order from 1970 on.
    fn entries(serials: &[Vec<u8>]) -> Result<Entries, CrlFault> {
        let mut content = Vec::new();
        for (second, serial) in serials.iter().enumerate() {
            let date = format!("7001010000{:02}Z", second % 60);
            let entry = [integer(serial), vec![der::UTC_TIME, 13], date.into_bytes()].concat();
            content.extend([der::SEQUENCE, entry.len() as u8]);
            content.extend(entry);
        }
        let whole = [&[der::SEQUENCE, 0x83, (content.len() >> 16) as u8], &(content.len() as u16).to_be_bytes()[..]];
        let whole = [&whole.concat()[..], &content].concat();
        let mut reader = Reader::new(&whole);
        let element = match reader.expect(der::SEQUENCE) {
            Ok(element) => element,
            // Too short for that form of the length.
            Err(Malformed) => Element { tag: der::SEQUENCE, value: &content, whole: &content, at: 0 },
        };
        Entries::parse(element, 2)
    }

    #[test]
    fn serial_numbers_are_numbers() {
        let listed = entries(&[vec![0x80], vec![0x00, 0x7f], vec![0x01, 0x00], vec![0x00, 0x00, 0xff]]).unwrap();
        assert_eq!(listed.width, 2);
        for (serial, second) in [
            (&[0x80][..], Some(0)),
            (&[0xff, 0x80], Some(0)),
            (&[0x00, 0x80], None),
            (&[0x7f], Some(1)),
            (&[0x00, 0x00, 0x7f], Some(1)),
            (&[0x01, 0x00], Some(2)),
            (&[0x01], None),
            (&[0x00], None),
            (&[0x00, 0xff], Some(3)),
            (&[0xff], None),
            (&[0x01, 0x00, 0x00], None),
            (&[], None),
        ] {
            assert_eq!(listed.find(serial).map(|revoked| revoked.at), second, "{serial:02x?}");
        }
        assert!(entries(&[]).unwrap().find(&[0]).is_none());
        assert!(entries(&[vec![1; 64]]).is_ok());
        assert!(entries(&[vec![1; 65]]).is_err());
        assert!(entries(&[vec![]]).is_err());
    }

    /// Half a million must take less than 40 octets each; with the longest that RFC 5280 allows these take 27.
    #[test]
    fn memory() {
        for (octets, bound) in [(8, 14.0), (16, 22.0), (20, 26.0), (21, 27.0)] {
            let serials: Vec<Vec<u8>> = (0..20_000_u16)
                .map(|number| [&[0x40], &[0xa5; 18][..octets - 3], &number.to_be_bytes()].concat())
                .collect();
            let entries = entries(&serials).unwrap();
            let taken = size_of_val(&*entries.serials)
                + size_of_val(&*entries.fences)
                + size_of_val(&*entries.times)
                + size_of_val(&*entries.reasons);
            let each = taken as f64 / serials.len() as f64;
            assert!(each < bound, "{each} octets each, with serial numbers of {octets}");
            assert!(serials.iter().all(|serial| entries.find(serial).is_some()));
            assert!(entries.find(&[&[0x40], &[0xa5; 18][..octets - 3], &[0xff, 0xff]].concat()).is_none());
        }
    }

    proptest! {
        #[test]
        fn finds_what_is_listed_and_nothing_else(
            listed in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..24), 0..60),
            others in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..24), 0..20),
            short in proptest::collection::vec(any::<i8>(), 0..60),
        ) {
            let listed: Vec<_> = listed.into_iter().chain(short.into_iter().map(|n| vec![n as u8])).take(60).collect();
            let entries = entries(&listed).unwrap();
            for serial in listed.iter().chain(&others) {
                let first = listed.iter().position(|known| minimal(known) == minimal(serial));
                let is_once = listed.iter().filter(|known| minimal(known) == minimal(serial)).count() < 2;
                let found = entries.find(serial).map(|revoked| revoked.at as usize);
                prop_assert!(found.is_some() == first.is_some() && (!is_once || found == first));
            }
        }
    }
}
