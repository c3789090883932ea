//! Which bytes of an object are asked for: all, a range, or a part that it was put together of.

use std::ops::Range;

use http::StatusCode;
use s3s::S3Result;
use s3s::dto;

use super::errors::with_code;
use super::multipart::part_number;
use crate::objects::Content;

/// Bytes of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// Which.
    pub(super) bytes: Range<u64>,
    /// `Content-Range`, where they are not all.
    pub(super) content_range: Option<String>,
    /// `x-amz-mp-parts-count`, where a part was asked for.
    pub(super) parts: Option<i32>,
}

impl Selection {
    pub(super) fn of(content: &Content, range: Option<dto::Range>, part: Option<i32>) -> S3Result<Self> {
        let bytes = match (range, part) {
            (Some(_), Some(_)) => {
                let message = "Cannot specify both Range header and partNumber query parameter";
                return Err(with_code(StatusCode::BAD_REQUEST, "InvalidRequest", message));
            }
            (Some(range), None) => range.check(content.size)?,
            (None, Some(number)) => part_of(content, part_number(number)?.into()).ok_or_else(|| {
                let message = "The requested partnumber is not satisfiable";
                with_code(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidPartNumber", message)
            })?,
            (None, None) => return Ok(Self { bytes: 0..content.size, content_range: None, parts: None }),
        };
        let content_range = match content.size {
            // An empty object has its part 1, but no byte that a range could name.
            0 => None,
            size => Some(format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1)),
        };
        let parts = i32::try_from(content.parts.len()).ok().filter(|count| part.is_some() && *count > 0);
        Ok(Self { bytes, content_range, parts })
    }

    /// Whether it is the whole object.
    pub(super) fn is_whole(&self) -> bool {
        self.content_range.is_none()
    }

    pub(super) fn length(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }

    pub(super) fn cut(&self, bytes: Vec<u8>) -> bytes::Bytes {
        let bytes = bytes::Bytes::from(bytes);
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        bytes.slice(at(self.bytes.start)..at(self.bytes.end))
    }
}

/// Parts count from 1, whatever numbers they were uploaded with.
fn part_of(content: &Content, number: i32) -> Option<Range<u64>> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    if content.parts.is_empty() {
        return (index == 0).then_some(0..content.size);
    }
    let size = content.parts.get(index)?.size;
    let start = content.parts.iter().take(index).map(|part| part.size).sum::<u64>();
    Some(start..start + size)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::objects::ObjectPart;

    fn content(size: u64, parts: &[u64]) -> Content {
        let parts =
            parts.iter().zip(1..).map(|(size, number)| ObjectPart { number, size: *size, checksums: BTreeMap::new() });
        Content {
            digest: String::new(),
            size,
            etag: String::new(),
            metadata: Default::default(),
            parts: parts.collect(),
        }
    }

    #[test]
    fn ranges_and_parts() {
        let range = |text: &str| Some(dto::Range::parse(text).unwrap());
        let put = content(10, &[]);
        for (content, range, part, expected) in [
            (&put, None, None, Some((0..10, None))),
            (&put, range("bytes=2-3"), None, Some((2..4, Some("bytes 2-3/10")))),
            (&put, range("bytes=-3"), None, Some((7..10, Some("bytes 7-9/10")))),
            (&put, range("bytes=10-"), None, None),
            (&put, None, Some(1), Some((0..10, Some("bytes 0-9/10")))),
            (&put, None, Some(2), None),
            (&put, None, Some(0), None),
            (&put, range("bytes=0-1"), Some(1), None),
            (&content(0, &[]), None, Some(1), Some((0..0, None))),
            (&content(7, &[4, 3]), None, Some(2), Some((4..7, Some("bytes 4-6/7")))),
            (&content(7, &[4, 3]), None, Some(3), None),
        ] {
            let found = Selection::of(content, range, part).ok();
            let found = found.map(|selection| (selection.bytes.clone(), selection.content_range));
            assert_eq!(found, expected.map(|(bytes, text)| (bytes, text.map(str::to_owned))));
        }
        assert_eq!(Selection::of(&content(7, &[4, 3]), None, Some(1)).unwrap().parts, Some(2));
    }
}
