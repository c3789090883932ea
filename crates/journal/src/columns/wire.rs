//! Numbers and byte strings, one after the other. What is read is not believed: every read may fail.

/// Bytes that a number of `count` different ones needs.
pub(super) fn width(count: usize) -> u8 {
    match count {
        0..=1 => 0,
        2..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    }
}

#[derive(Default)]
pub(super) struct Output(Vec<u8>);

impl Output {
    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// LEB128.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    /// Numbers of `width` bytes: first the lowest byte of all of them, then the next.
    pub(super) fn planes(&mut self, numbers: impl Iterator<Item = u32> + Clone, width: u8) {
        for plane in 0..width {
            self.0.extend(numbers.clone().map(|number| (number >> (8 * plane)) as u8));
        }
    }
}

pub(super) struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    pub(super) fn raw(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn size(&mut self) -> Option<usize> {
        self.number()?.try_into().ok()
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.size()?;
        self.raw(length)
    }

    /// Up to a line feed, which is passed over.
    pub(super) fn line(&mut self) -> Option<&'a [u8]> {
        let line = self.raw(memchr::memchr(b'\n', self.0)?)?;
        self.byte()?;
        Some(line)
    }

    /// `count` numbers as [`Output::planes`] wrote them.
    pub(super) fn planes(&mut self, count: usize, width: u8) -> Option<Vec<u32>> {
        let planes = self.raw(count.checked_mul(usize::from(width))?)?;
        let mut numbers = vec![0; count];
        for (plane, bytes) in planes.chunks_exact(count.max(1)).enumerate() {
            for (number, byte) in numbers.iter_mut().zip(bytes) {
                *number |= u32::from(*byte) << (8 * plane);
            }
        }
        Some(numbers)
    }
}
