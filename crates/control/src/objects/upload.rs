//! Uploads in parts.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use model::UnixMillis;
use redb::ReadableTable;
use serde::{Deserialize, Serialize};

use super::index::{Tables, fault, json};
use super::listing::rolled_up;
use super::{
    Algorithm, Content, MAX_OBJECT_BYTES, Metadata, ObjectError, ObjectPart, Objects, Precondition, Result, StagedBlob,
    StorageError, Sums, Written, put_version, random_id,
};

/// All parts but the last have at least so many bytes.
const MIN_PART_BYTES: u64 = 5 << 20;
const MAX_UPLOADS_OF_BUCKET: usize = 1_000;

/// An upload that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Key of the object that it will be.
    pub key: String,
    /// What the object will carry; [`Metadata::composite`] says what its checksum will be of.
    pub metadata: Metadata,
    /// The algorithm that was asked for.
    #[serde(default)]
    pub algorithm: Option<String>,
    /// When it was begun.
    pub begun: UnixMillis,
}

/// A part that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// SHA-256, hexadecimal.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// MD5, hexadecimal, without quotes.
    pub etag: String,
    /// When it was uploaded.
    pub modified: UnixMillis,
    /// By algorithm, base64; they were compared when it was put.
    #[serde(default)]
    pub checksums: BTreeMap<String, String>,
}

/// A part as it is named to complete an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompletedPart {
    /// 1 to 10,000.
    pub number: u16,
    /// The part's, without quotes.
    pub etag: String,
    /// By algorithm, base64: those that were said.
    pub checksums: BTreeMap<String, String>,
}

/// How an upload is to be completed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// The parts, in their order.
    pub parts: Vec<CompletedPart>,
    /// What must hold of what is there.
    pub precondition: Precondition,
    /// Checksums of the whole that were said, by algorithm.
    pub checksums: BTreeMap<String, String>,
    /// Bytes of the whole, where they were said.
    pub size: Option<u64>,
}

/// Which uploads to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct UploadScan<'a> {
    /// Only of keys that start with this.
    pub prefix: &'a str,
    /// Keys that have this after the prefix are listed once, up to it.
    pub delimiter: Option<&'a str>,
    /// Only what comes after this key, and, where it is given, after this upload of it.
    pub after: Option<(&'a str, Option<&'a str>)>,
    /// At most so many uploads and prefixes together.
    pub limit: usize,
}

/// A page of uploads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadPage {
    /// Each with its id, by key, then by when it was begun.
    pub uploads: Vec<(String, Upload)>,
    /// What was rolled up.
    pub common_prefixes: Vec<String>,
    /// Where the next page continues, if there is one.
    pub next: Option<(String, String)>,
}

impl Objects {
    /// Begins an upload; the answer is its id.
    pub fn begin_upload(
        &self,
        bucket: &str,
        key: &str,
        metadata: Metadata,
        algorithm: Option<Algorithm>,
        at: UnixMillis,
    ) -> Result<String> {
        self.write(|tables| {
            tables.existing_bucket(bucket)?;
            if tables.uploads(bucket)?.len() >= MAX_UPLOADS_OF_BUCKET {
                return Err(ObjectError::TooManyUploads);
            }
            let id = random_id();
            let algorithm = algorithm.map(|algorithm| algorithm.name().to_owned());
            let upload = Upload { key: key.to_owned(), metadata, algorithm, begun: at };
            tables
                .uploads
                .insert((bucket, id.as_str()), json(&upload).as_slice())
                .map_err(|e| fault(tables.path, e))?;
            Ok(id)
        })
    }

    /// An upload and its parts by number.
    pub fn upload(&self, bucket: &str, key: &str, upload: &str) -> Result<(Upload, Vec<(u16, Part)>)> {
        // A commit that changes nothing: it sees both as they are at one time.
        self.write(|tables| Ok((tables.upload(bucket, key, upload)?, tables.parts(upload)?)))
    }

    /// Uploads of a bucket that were neither completed nor aborted.
    pub fn uploads(&self, bucket: &str, scan: &UploadScan<'_>) -> Result<UploadPage> {
        let mut uploads = self.write(|tables| {
            tables.existing_bucket(bucket)?;
            Ok(tables.uploads(bucket)?)
        })?;
        uploads.retain(|(_, upload)| upload.key.starts_with(scan.prefix));
        uploads.sort_by(|(a, one), (b, other)| (&one.key, one.begun, a).cmp(&(&other.key, other.begun, b)));
        let seen = scan.after.map_or(0, |(key, id)| {
            let place = id.and_then(|id| uploads.iter().position(|(found, upload)| found == id && upload.key == key));
            place.map_or_else(|| uploads.partition_point(|(_, upload)| *upload.key <= *key), |place| place + 1)
        });
        let mut page = UploadPage::default();
        let mut last: Option<(String, String)> = None;
        for (id, upload) in uploads.drain(seen..) {
            let prefix = rolled_up(&upload.key, scan.prefix, scan.delimiter).map(str::to_owned);
            let repeated = |prefix: &String| {
                page.common_prefixes.last() == Some(prefix)
                    || scan.after.is_some_and(|(key, _)| key.starts_with(prefix.as_str()))
            };
            if prefix.as_ref().is_some_and(repeated) {
                continue;
            }
            if page.uploads.len() + page.common_prefixes.len() == scan.limit {
                page.next = last;
                break;
            }
            last = Some((upload.key.clone(), id.clone()));
            match prefix {
                Some(prefix) => page.common_prefixes.push(prefix),
                None => page.uploads.push((id, upload)),
            }
        }
        Ok(page)
    }

    /// Puts a part, instead of one with the same number.
    pub fn put_part(
        &self,
        (bucket, key): (&str, &str),
        upload: &str,
        number: u16,
        (staged, checksums): (StagedBlob, BTreeMap<String, String>),
        at: UnixMillis,
    ) -> Result<Part> {
        let staged = staged.finish()?;
        self.write(|tables| {
            tables.upload(bucket, key, upload)?;
            let others: u64 = tables.parts(upload)?.iter().filter(|(n, _)| *n != number).map(|(_, p)| p.size).sum();
            if others + staged.size() > MAX_OBJECT_BYTES {
                return Err(ObjectError::TooLarge { size: others + staged.size(), limit: MAX_OBJECT_BYTES });
            }
            let etag = HEXLOWER.encode(staged.md5());
            let part = Part { digest: staged.digest().to_owned(), size: staged.size(), etag, modified: at, checksums };
            self.blobs.keep(staged)?;
            tables.retain(&part.digest, part.size)?;
            tables.remove_part(upload, number)?;
            tables.parts.insert((upload, number), json(&part).as_slice()).map_err(|e| fault(tables.path, e))?;
            Ok(part)
        })
    }

    /// Puts the object that the named parts make up.
    pub fn complete_upload(
        &self,
        (bucket, key): (&str, &str),
        upload: &str,
        completion: &Completion,
        at: UnixMillis,
    ) -> Result<(Written, Content)> {
        self.write(|tables| {
            let begun = tables.upload(bucket, key, upload)?;
            let parts = chosen(&tables.parts(upload)?, &completion.parts)?;
            let algorithm = begun.algorithm.as_deref().and_then(Algorithm::of_name).unwrap_or(Algorithm::Crc64Nvme);
            let mut staged = self.blobs.stage()?;
            let (mut etags, mut sums) = (Md5::new(), Sums::new(|wanted| wanted == algorithm));
            for (number, part) in &parts {
                let bytes = self.blobs.read(&part.digest, part.size).map_err(|fault| StorageError::Content {
                    path: self.blobs.path(&part.digest),
                    object: format!("{bucket}/{key} (part {number} of upload {upload})"),
                    fault,
                })?;
                staged.write(&bytes)?;
                etags.update(Md5::digest(&bytes));
                sums.update(&bytes);
            }
            let mut metadata = begun.metadata;
            metadata.checksums = sums.finish();
            if metadata.composite {
                let of_parts =
                    parts.iter().map(|(_, part)| part.checksums.get(algorithm.name()).map_or("", String::as_str));
                let sum = algorithm.composite(of_parts.collect::<Vec<_>>().into_iter());
                metadata.checksums = sum.map(|sum| (algorithm.name().to_owned(), sum)).into_iter().collect();
            }
            completion.compare(&metadata.checksums, staged.size())?;
            let etag = format!("{}-{}", HEXLOWER.encode(&etags.finalize()), parts.len());
            let finished = staged.finish()?;
            let (digest, size) = (finished.digest().to_owned(), finished.size());
            let parts = parts.into_iter().map(|(number, part)| part.of_object(number)).collect();
            let content = Content { digest, size, etag, metadata, parts };
            self.blobs.keep(finished)?;
            let written = put_version(tables, bucket, key, content.clone(), &completion.precondition, at)?;
            tables.drop_upload(bucket, upload)?;
            Ok((written, content))
        })
    }

    /// Drops an upload and its parts.
    pub fn abort_upload(&self, bucket: &str, key: &str, upload: &str) -> Result<()> {
        self.write(|tables| {
            tables.upload(bucket, key, upload)?;
            Ok(tables.drop_upload(bucket, upload)?)
        })
    }
}

impl Completion {
    /// What was said of the whole is so.
    fn compare(&self, checksums: &BTreeMap<String, String>, size: u64) -> Result<()> {
        if let Some(said) = self.size.filter(|said| *said != size) {
            return Err(ObjectError::SizeDiffers { said, size });
        }
        for (algorithm, said) in &self.checksums {
            if checksums.get(algorithm).is_none_or(|sum| !is_sum(sum, said)) {
                return Err(ObjectError::ChecksumDiffers(algorithm.clone()));
            }
        }
        Ok(())
    }
}

impl Part {
    fn of_object(self, number: u16) -> ObjectPart {
        ObjectPart { number, size: self.size, checksums: self.checksums }
    }

    fn is(&self, named: &CompletedPart) -> bool {
        let same = |(algorithm, said): (&String, &String)| self.checksums.get(algorithm) == Some(said);
        self.etag == named.etag && named.checksums.iter().all(same)
    }
}

/// A checksum of parts is said with or without their number.
fn is_sum(sum: &str, said: &str) -> bool {
    sum == said || sum.split_once('-').is_some_and(|(sum, _)| sum == said)
}

impl Tables<'_> {
    /// Drops all uploads of a bucket.
    pub(super) fn drop_uploads(&mut self, bucket: &str) -> Result<(), StorageError> {
        for (id, _) in self.uploads(bucket)? {
            self.drop_upload(bucket, &id)?;
        }
        Ok(())
    }

    fn uploads(&self, bucket: &str) -> Result<Vec<(String, Upload)>, StorageError> {
        let mut uploads = Vec::new();
        for row in self.uploads.range::<(&str, &str)>((bucket, "")..).map_err(|e| self.fault(e))? {
            let (place, value) = row.map_err(|e| self.fault(e))?;
            if place.value().0 != bucket {
                break;
            }
            uploads.push((place.value().1.to_owned(), self.parse(value.value())?));
        }
        Ok(uploads)
    }

    fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<Upload> {
        self.existing_bucket(bucket)?;
        let row = self.uploads.get((bucket, id)).map_err(|e| self.fault(e))?;
        let upload: Option<Upload> = row.map(|value| self.parse(value.value())).transpose()?;
        upload.filter(|upload| upload.key == key).ok_or_else(|| ObjectError::NoSuchUpload(id.to_owned()))
    }

    fn parts(&self, upload: &str) -> Result<Vec<(u16, Part)>, StorageError> {
        let rows = self.parts.range((upload, 0)..=(upload, u16::MAX)).map_err(|e| self.fault(e))?;
        rows.map(|row| {
            let (place, value) = row.map_err(|e| self.fault(e))?;
            Ok((place.value().1, self.parse(value.value())?))
        })
        .collect()
    }

    fn remove_part(&mut self, upload: &str, number: u16) -> Result<(), StorageError> {
        let row = self.parts.remove((upload, number)).map(|row| row.map(|value| value.value().to_vec()));
        if let Some(value) = row.map_err(|e| self.fault(e))? {
            let part: Part = self.parse(&value)?;
            self.release(&part.digest)?;
        }
        Ok(())
    }

    fn drop_upload(&mut self, bucket: &str, id: &str) -> Result<(), StorageError> {
        for (number, _) in self.parts(id)? {
            self.remove_part(id, number)?;
        }
        let removed = self.uploads.remove((bucket, id)).map(drop);
        removed.map_err(|e| self.fault(e))
    }
}

/// The parts that were named, which must be ascending, uploaded, unchanged and large enough.
fn chosen(uploaded: &[(u16, Part)], named: &[CompletedPart]) -> Result<Vec<(u16, Part)>> {
    if named.is_empty() || !named.is_sorted_by(|a, b| a.number < b.number) {
        return Err(ObjectError::InvalidPartOrder);
    }
    let mut parts = Vec::with_capacity(named.len());
    for (i, name) in named.iter().enumerate() {
        let found = uploaded.iter().find(|(number, part)| *number == name.number && part.is(name));
        let (_, part) = found.ok_or(ObjectError::InvalidPart(name.number))?;
        if i + 1 < named.len() && part.size < MIN_PART_BYTES {
            return Err(ObjectError::PartTooSmall(name.number));
        }
        parts.push((name.number, part.clone()));
    }
    Ok(parts)
}
