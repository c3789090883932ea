//! S3's checksums: of whole objects, and of the checksums of their parts.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};

/// An algorithm of S3's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// CRC-32 of ISO/IEC 3309, as in gzip.
    Crc32,
    /// CRC-32 with Castagnoli's polynomial.
    Crc32c,
    /// CRC-64 of NVM Express, S3's own choice where a client has none.
    Crc64Nvme,
    /// SHA-1
    Sha1,
    /// SHA-256
    Sha256,
}

/// Bytes on their way through several algorithms at once.
pub struct Sums(ChecksumHasher);

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// As `x-amz-checksum-algorithm` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header (or trailer) with its value.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// That of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Whether it can be computed of the parts' checksums only, where S3 is not told otherwise.
    pub fn is_composite(self) -> bool {
        self != Self::Crc64Nvme
    }

    /// The checksum of the parts' checksums (base64 all): S3's `COMPOSITE`, with the number of parts behind it. None where one of them
    /// is none.
    pub fn composite<'c>(self, parts: impl ExactSizeIterator<Item = &'c str>) -> Option<String> {
        let (mut sums, count) = (Sums::new(|algorithm| algorithm == self), parts.len());
        for part in parts {
            sums.update(&BASE64.decode(part.as_bytes()).ok()?);
        }
        sums.finish().remove(self.name()).map(|sum| format!("{sum}-{count}"))
    }
}

impl Sums {
    /// Of the algorithms that are wanted.
    pub fn new(wanted: impl Fn(Algorithm) -> bool) -> Self {
        Self(ChecksumHasher {
            crc32: wanted(Algorithm::Crc32).then(Crc32::new),
            crc32c: wanted(Algorithm::Crc32c).then(Crc32c::new),
            crc64nvme: wanted(Algorithm::Crc64Nvme).then(Crc64Nvme::new),
            sha1: wanted(Algorithm::Sha1).then(Sha1::new),
            sha256: wanted(Algorithm::Sha256).then(Sha256::new),
        })
    }

    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// By the algorithms' names, base64.
    pub fn finish(self) -> BTreeMap<String, String> {
        let sums = self.0.finalize();
        let of = |algorithm: Algorithm| match algorithm {
            Algorithm::Crc32 => sums.checksum_crc32.clone(),
            Algorithm::Crc32c => sums.checksum_crc32c.clone(),
            Algorithm::Crc64Nvme => sums.checksum_crc64nvme.clone(),
            Algorithm::Sha1 => sums.checksum_sha1.clone(),
            Algorithm::Sha256 => sums.checksum_sha256.clone(),
        };
        Algorithm::ALL.into_iter().filter_map(|algorithm| Some((algorithm.name().to_owned(), of(algorithm)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of "123456789" that catalogues of CRCs list.
    #[test]
    fn the_check_values() {
        let mut sums = Sums::new(|_| true);
        sums.update(b"1234");
        sums.update(b"56789");
        let sums = sums.finish();
        assert_eq!(sums["CRC32"], BASE64.encode(&0xcbf4_3926_u32.to_be_bytes()));
        assert_eq!(sums["CRC32C"], BASE64.encode(&0xe306_9283_u32.to_be_bytes()));
        assert_eq!(sums["CRC64NVME"], BASE64.encode(&0xae8b_1486_0a79_9888_u64.to_be_bytes()));
        assert_eq!(sums.len(), 5);
    }

    #[test]
    fn of_parts() {
        assert_eq!(Algorithm::Crc32.composite(["no base64!"].into_iter()), None);
        let part = BASE64.encode(&0xcbf4_3926_u32.to_be_bytes());
        let sum = Algorithm::Crc32.composite([part.as_str(); 2].into_iter()).unwrap();
        assert!(sum.ends_with("==-2"), "{sum}");
    }
}
