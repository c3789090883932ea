//! Bytes that the settings name by their digest.

use std::collections::HashMap;
use std::sync::Arc;

use trust::Digest;

/// A truststore or revocation list as it was read: kept beside the settings, so that nothing depends on where it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    digest: String,
    bytes: Arc<[u8]>,
}

/// By digest.
pub type Blobs = HashMap<String, Blob>;

impl Blob {
    /// Of these bytes.
    pub fn of(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::of(&bytes).to_string(), bytes }
    }

    /// SHA-256, lowercase hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blob({}, {} bytes)", self.digest, self.bytes.len())
    }
}
