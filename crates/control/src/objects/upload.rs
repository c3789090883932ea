//! Uploads in parts.

use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use model::UnixMillis;
use redb::ReadableTable;
use serde::{Deserialize, Serialize};

use super::index::{Tables, fault, json};
use super::{
    Content, MAX_OBJECT_BYTES, Metadata, ObjectError, Objects, Precondition, Result, StagedBlob, StorageError, Written,
    put_version, random_id,
};

/// All parts but the last have at least so many bytes.
const MIN_PART_BYTES: u64 = 5 << 20;
const MAX_UPLOADS_OF_BUCKET: usize = 1_000;

/// An upload that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Upload {
    /// Key of the object that it will be.
    pub key: String,
    /// What the object will carry.
    pub metadata: Metadata,
    /// When it was begun.
    pub begun: UnixMillis,
}

/// A part that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    /// SHA-256, hexadecimal.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// MD5, hexadecimal, without quotes.
    pub etag: String,
    /// When it was uploaded.
    pub modified: UnixMillis,
}

/// A part as it is named to complete an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedPart {
    /// 1 to 10,000.
    pub number: u16,
    /// The part's, without quotes.
    pub etag: String,
}

impl Objects {
    /// Begins an upload; the answer is its id.
    pub fn begin_upload(&self, bucket: &str, key: &str, metadata: Metadata, at: UnixMillis) -> Result<String> {
        self.write(|tables| {
            tables.existing_bucket(bucket)?;
            if tables.uploads(bucket)?.len() >= MAX_UPLOADS_OF_BUCKET {
                return Err(ObjectError::TooManyUploads);
            }
            let id = random_id();
            let upload = Upload { key: key.to_owned(), metadata, begun: at };
            tables
                .uploads
                .insert((bucket, id.as_str()), json(&upload).as_slice())
                .map_err(|e| fault(tables.path, e))?;
            Ok(id)
        })
    }

    /// Puts a part, instead of one with the same number; the answer is its ETag.
    pub fn put_part(
        &self,
        (bucket, key): (&str, &str),
        upload: &str,
        number: u16,
        staged: StagedBlob,
        at: UnixMillis,
    ) -> Result<String> {
        let staged = staged.finish()?;
        self.write(|tables| {
            tables.upload(bucket, key, upload)?;
            let others: u64 = tables.parts(upload)?.iter().filter(|(n, _)| *n != number).map(|(_, p)| p.size).sum();
            if others + staged.size() > MAX_OBJECT_BYTES {
                return Err(ObjectError::TooLarge { size: others + staged.size(), limit: MAX_OBJECT_BYTES });
            }
            let etag = HEXLOWER.encode(staged.md5());
            let (digest, size) = (staged.digest().to_owned(), staged.size());
            self.blobs.keep(staged)?;
            tables.retain(&digest, size)?;
            tables.remove_part(upload, number)?;
            let part = Part { digest, size, etag: etag.clone(), modified: at };
            tables.parts.insert((upload, number), json(&part).as_slice()).map_err(|e| fault(tables.path, e))?;
            Ok(etag)
        })
    }

    /// Puts the object that the named parts make up.
    pub fn complete_upload(
        &self,
        (bucket, key): (&str, &str),
        upload: &str,
        named: &[CompletedPart],
        precondition: &Precondition,
        at: UnixMillis,
    ) -> Result<(Written, Content)> {
        self.write(|tables| {
            let begun = tables.upload(bucket, key, upload)?;
            let parts = chosen(&tables.parts(upload)?, named)?;
            let mut staged = self.blobs.stage()?;
            let mut etags = Md5::new();
            for (number, part) in &parts {
                let bytes = self.blobs.read(&part.digest, part.size).map_err(|fault| StorageError::Content {
                    path: self.blobs.path(&part.digest),
                    object: format!("{bucket}/{key} (part {number} of upload {upload})"),
                    fault,
                })?;
                staged.write(&bytes)?;
                etags.update(Md5::digest(&bytes));
            }
            let etag = format!("{}-{}", HEXLOWER.encode(&etags.finalize()), parts.len());
            let finished = staged.finish()?;
            let content =
                Content { digest: finished.digest().to_owned(), size: finished.size(), etag, metadata: begun.metadata };
            self.blobs.keep(finished)?;
            let written = put_version(tables, bucket, key, content.clone(), precondition, at)?;
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
        let found = uploaded.iter().find(|(number, part)| *number == name.number && part.etag == name.etag);
        let (_, part) = found.ok_or(ObjectError::InvalidPart(name.number))?;
        if i + 1 < named.len() && part.size < MIN_PART_BYTES {
            return Err(ObjectError::PartTooSmall(name.number));
        }
        parts.push((name.number, part.clone()));
    }
    Ok(parts)
}
