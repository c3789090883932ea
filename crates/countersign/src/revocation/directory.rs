//! Follows the files that domains name as `file:NAME`: what is written to one holds a moment later.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use control::Control;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::answer::warn;

/// Between two looks: network file systems and mounted volumes tell nobody of their changes.
const PAUSE: Duration = Duration::from_secs(1);

/// What a file looks like from outside; none where it is not there.
type Look = Option<(SystemTime, u64, u64)>;

/// Until it is aborted.
pub(crate) async fn follow(control: Control, directory: PathBuf) {
    let mut known: HashMap<String, Look> = HashMap::new();
    loop {
        let (names, place) = (names(&control), directory.clone());
        let looks =
            spawn_blocking(move || names.into_iter().map(|name| (look(&place, &name), name)).collect::<Vec<_>>());
        let looks = looks.await.unwrap_or_default();
        known.retain(|name, _| looks.iter().any(|(_, named)| named == name));
        for (look, name) in looks {
            // A file that was never looked at may have changed while the server was down.
            if known.get(&name) == Some(&look) {
                continue;
            }
            match control.file_written(&name).await {
                Ok(()) => drop(known.insert(name, look)),
                Err(error) => warn(&format!("file:{name} is not followed: {error}")),
            }
        }
        sleep(PAUSE).await;
    }
}

fn names(control: &Control) -> Vec<String> {
    let state = control.settings().state();
    let lists = state.domains.values().flat_map(|domain| &domain.crls);
    let mut names: Vec<String> = lists.filter_map(|list| list.uri.strip_prefix("file:").map(str::to_owned)).collect();
    names.sort();
    names.dedup();
    names
}

fn look(directory: &Path, name: &str) -> Look {
    let metadata = fs::metadata(directory.join(name)).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}
