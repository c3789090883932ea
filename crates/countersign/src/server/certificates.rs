//! Follows the certificates that are kept in files: what is written to them is shown by the next handshake.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use control::{Control, FileCertificate};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::answer::warn;
use crate::config::CertificateFiles;

/// Between two looks: network file systems and mounted volumes tell nobody of their changes.
const PAUSE: Duration = Duration::from_secs(1);
/// More than a chain of certificates, or a key.
const MAX_BYTES: u64 = 1024 * 1024;

/// What a file looks like from outside; none where it is not there.
type Look = Option<(SystemTime, u64, u64)>;

/// What became of one's files when they were looked at last.
#[derive(Default)]
struct Known {
    looks: Option<[Look; 2]>,
    failure: Option<String>,
}

/// Until it is aborted. A file that cannot be used changes nothing but a line on stderr, and the server's health.
pub(super) async fn follow(control: Control, all: Vec<CertificateFiles>) {
    let region =
        |files: &CertificateFiles| files.region.clone().unwrap_or_else(|| control.config().default_region.clone());
    let arns: Vec<String> = all.iter().map(|files| control.arn_of_file(&region(files), &files.name)).collect();
    if let Err(e) = control.keep_only_file_certificates(&arns).await {
        warn(&format!("certificates that are kept in files no more are not told apart: {e}"));
    }
    let mut known: Vec<Known> = all.iter().map(|_| Known::default()).collect();
    loop {
        for ((files, arn), known) in all.iter().zip(&arns).zip(&mut known) {
            let looks = [look(&files.certificate), look(&files.key)];
            let unchanged = known.looks == Some(looks) && known.failure.is_none();
            if unchanged {
                continue;
            }
            known.looks = Some(looks);
            let kept = keep(&control, files, &region(files)).await;
            if let Ok(true) = kept {
                warn(&format!("the certificate {} of {} is {arn}", files.name, files.certificate.display()));
            }
            let failure = kept.err();
            // Told once; tried again for as long as it lasts, since one file may be there before the other.
            if let Some(failure) = failure.as_ref().filter(|failure| known.failure.as_ref() != Some(*failure)) {
                warn(&format!("the certificate {} is not taken from its files: {failure}", files.name));
            }
            known.failure = failure;
        }
        control.certificate_files_fail(known.iter().any(|known| known.failure.is_some()));
        sleep(PAUSE).await;
    }
}

async fn keep(control: &Control, files: &CertificateFiles, region: &str) -> Result<bool, String> {
    let (certificate, key) = (files.certificate.clone(), files.key.clone());
    let read = spawn_blocking(move || Ok::<_, String>((read(&certificate)?, read(&key)?)));
    let (certificates, private_key) = read.await.map_err(|e| e.to_string())??;
    let file = FileCertificate {
        name: &files.name,
        region,
        certificates: &certificates,
        private_key: &private_key,
        tags: &files.tags,
    };
    control.keep_file_certificate(&file).await.map_err(|e| e.message)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let named = |why: String| format!("{}: {why}", path.display());
    let length = fs::metadata(path).map_err(|e| named(e.to_string()))?.len();
    if length > MAX_BYTES {
        return Err(named(format!("it has more than {MAX_BYTES} bytes")));
    }
    fs::read(path).map(Zeroizing::new).map_err(|e| named(e.to_string()))
}

fn look(path: &Path) -> Look {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}
