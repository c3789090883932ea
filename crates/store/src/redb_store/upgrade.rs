//! Files of older formats, read on.

use data_encoding::BASE64;
use model::Blob;
use redb::{Database, ReadableDatabase, ReadableTable, StorageError};
use serde::Deserialize;

use super::{BLOBS, META, SETTINGS, without_checksum};

/// In format 1 the bytes of truststores were settings.
const TRUSTSTORES: &str = "truststores/";

/// A truststore of format 1.
#[derive(Deserialize)]
struct TruststoreBytes {
    pem: String,
}

/// Makes a file of format 1 one of format 2, whole or not at all. What cannot be read is left as it is, and is found when
/// all is checked.
pub(super) fn upgrade(database: &Database) -> Result<(), redb::Error> {
    if format(database)? != Some(1) {
        return Ok(());
    }
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    {
        let mut settings = transaction.open_table(SETTINGS)?;
        let mut blobs = transaction.open_table(BLOBS)?;
        let mut moved = Vec::new();
        for entry in settings.range(TRUSTSTORES..)? {
            let (key, stored) = entry?;
            if !key.value().starts_with(TRUSTSTORES) {
                break;
            }
            if let Some(bytes) = bytes(key.value(), stored.value()) {
                moved.push((key.value().to_owned(), Blob::of(bytes)));
            }
        }
        for (key, blob) in &moved {
            blobs.insert(blob.digest(), blob.bytes())?;
            settings.remove(key.as_str())?;
        }
        transaction.open_table(META)?.insert("format", 2)?;
    }
    Ok(transaction.commit()?)
}

fn format(database: &Database) -> Result<Option<u64>, redb::Error> {
    let meta = database.begin_read()?.open_table(META)?;
    let format = meta.get("format")?.map(|format| format.value());
    Ok::<_, StorageError>(format).map_err(Into::into)
}

fn bytes(key: &str, stored: &[u8]) -> Option<Vec<u8>> {
    let value = without_checksum(key, stored.to_vec())?;
    let truststore: TruststoreBytes = serde_json::from_slice(&value).ok()?;
    BASE64.decode(truststore.pem.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Redb, with_checksum};
    use crate::Store;

    use super::*;

    #[tokio::test]
    async fn truststores_of_format_1_become_blobs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("settings.redb");
        drop(Redb::open(&path).unwrap());
        let blob = Blob::of(*b"PEM");
        let key = format!("truststores/{}", blob.digest());
        let value = format!(r#"{{"digest":"{}","pem":"{}"}}"#, blob.digest(), BASE64.encode(b"PEM"));
        {
            let database = Database::open(&path).unwrap();
            let transaction = database.begin_write().unwrap();
            transaction.open_table(META).unwrap().insert("format", 1).unwrap();
            transaction.open_table(META).unwrap().insert("revision", 7).unwrap();
            let stored = with_checksum(&key, value.as_bytes());
            transaction.open_table(SETTINGS).unwrap().insert(key.as_str(), stored.as_slice()).unwrap();
            assert!(transaction.delete_table(BLOBS).unwrap());
            transaction.commit().unwrap();
        }
        for _ in 0..2 {
            let store = Redb::open(&path).unwrap();
            assert_eq!(store.load().await.unwrap(), (7, vec![]));
            assert_eq!(store.blob(blob.digest()).await.unwrap().as_ref(), Some(&blob));
        }
    }
}
