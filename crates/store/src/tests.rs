//! One suite over all stores, and what only a file can suffer.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use model::resource::LogGroup;
use model::{Blob, Change, State};

use crate::etcd::tests::{Server, open};
use crate::{CommitError, Event, Follower, Kept, Memory, Redb, Store, StoreError};

pub(crate) fn group(name: &str) -> LogGroup {
    LogGroup::new("us-east-1", name, 1)
}

pub(crate) fn put(name: &str) -> Change {
    Change::put(&group(name))
}

/// Runs a test on each implementation.
async fn on_each<F: Future<Output = ()>>(test: impl Fn(Arc<dyn Store>) -> F) {
    test(Arc::new(Memory::new())).await;
    let directory = tempfile::tempdir().unwrap();
    test(Arc::new(Redb::open(&directory.path().join("settings.redb")).unwrap())).await;
    let server = Server::start();
    test(Arc::new(open(&server).await)).await;
}

#[tokio::test]
async fn commits_compare_the_revision() {
    on_each(|store| async move {
        assert_eq!(store.load().await.unwrap(), (0, vec![]));
        assert_eq!(store.commit(0, vec![put("a"), put("b")]).await.unwrap(), 1);
        assert!(matches!(store.commit(0, vec![put("c")]).await, Err(CommitError::Conflict(1))));
        assert!(matches!(store.commit(2, vec![put("c")]).await, Err(CommitError::Conflict(1))));
        assert_eq!(store.commit(1, vec![Change::delete(&group("a"))]).await.unwrap(), 2);
        assert_eq!(store.load().await.unwrap(), (2, vec![put("b")]));
    })
    .await;
}

#[tokio::test]
async fn blobs_are_kept_until_they_are_dropped() {
    on_each(|store| async move {
        let (one, two) = (Blob::of(*b"one"), Blob::of(*b"two"));
        store.put_blob(one.clone()).await.unwrap();
        store.put_blob(two.clone()).await.unwrap();
        store.put_blob(one.clone()).await.unwrap();
        assert_eq!(store.blob(one.digest()).await.unwrap().unwrap().bytes(), b"one");
        assert_eq!(store.blob("none").await.unwrap(), None);
        let kept = store.blobs().await.unwrap();
        let of = |digest: &str| (digest.to_owned(), kept.get(digest).copied().unwrap_or(1));
        let dropped = Kept::from([of(one.digest()), of("none")]);
        assert!(!store.drop_blobs(1, dropped.clone()).await.unwrap(), "the settings are at another revision");
        assert_eq!(store.blobs().await.unwrap(), kept);
        assert!(store.drop_blobs(0, dropped).await.unwrap());
        assert_eq!(store.blob(one.digest()).await.unwrap(), None);
        assert_eq!(store.blobs().await.unwrap(), Kept::from([of(two.digest())]));
        assert_eq!(store.load().await.unwrap().0, 0, "they are no part of a revision");
    })
    .await;
}

#[tokio::test]
async fn a_watch_yields_every_commit_once_in_order() {
    on_each(|store| async move {
        store.commit(0, vec![put("a")]).await.unwrap();
        let mut commits = store.watch(0);
        let writer = Arc::clone(&store);
        let written = tokio::spawn(async move {
            for revision in 1..20 {
                writer.commit(revision, vec![put(&revision.to_string())]).await.unwrap();
            }
        });
        for revision in 1..=20 {
            let name = if revision == 1 { "a".to_owned() } else { (revision - 1).to_string() };
            assert_eq!(commits.next().await, Some(Event::Committed(revision, vec![put(&name)])));
        }
        written.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_watch_that_lags_too_far_is_told_and_a_follower_recovers() {
    on_each(|store| async move {
        let mut late = store.watch(0);
        let follower = Follower::start(Arc::clone(&store)).await.unwrap();
        for revision in 0..300 {
            store.commit(revision, vec![put(&revision.to_string())]).await.unwrap();
        }
        assert_eq!(late.next().await, Some(Event::Compacted));
        assert_eq!(late.next().await, None);
        let mut state = follower.state();
        let state = state.wait_for(|state| state.revision == 300).await.unwrap();
        assert_eq!(State::of(&state.log_groups, "us-east-1").count(), 300);
    })
    .await;
}

#[tokio::test]
async fn concurrent_commits_lose_nothing() {
    on_each(|store| async move {
        let writers = (0..8).map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for number in 0..5 {
                    let mut expected = 0;
                    let change = put(&format!("{writer}-{number}"));
                    while let Err(CommitError::Conflict(current)) = store.commit(expected, vec![change.clone()]).await {
                        expected = current;
                    }
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let (revision, all) = store.load().await.unwrap();
        assert_eq!((revision, all.len()), (40, 40));
    })
    .await;
}

#[tokio::test]
async fn other_settings_are_loaded_by_who_follows() {
    on_each(|store| async move {
        let follower = Follower::start(Arc::clone(&store)).await.unwrap();
        for revision in 0..5 {
            store.commit(revision, vec![put(&revision.to_string())]).await.unwrap();
        }
        let mut states = follower.state();
        states.wait_for(|state| state.revision == 5).await.unwrap();
        store.replace(3, vec![put("other")]).await.unwrap();
        assert_eq!(store.load().await.unwrap(), (3, vec![put("other")]));
        let state = states.wait_for(|state| state.revision == 3).await.unwrap().clone();
        assert_eq!(State::of(&state.log_groups, "us-east-1").count(), 1);
        assert!(matches!(store.commit(5, vec![put("c")]).await, Err(CommitError::Conflict(3))));
        assert_eq!(store.commit(3, vec![put("c")]).await.unwrap(), 4);
        states.wait_for(|state| state.revision == 4).await.unwrap();
        store.replace(9, vec![]).await.unwrap();
        states.wait_for(|state| state.revision == 9).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn nodes_say_what_they_enforce_and_since_when() {
    on_each(|store| async move {
        assert_eq!(store.nodes(), []);
        store.report_applied("b", 5).await.unwrap();
        store.report_applied("a", 7).await.unwrap();
        let [a, b] = store.nodes().try_into().unwrap();
        assert_eq!((a.name.as_str(), a.revision, b.name.as_str(), b.revision), ("a", 7, "b", 5));
        assert!(a.since > 1_700_000_000_000 && a.applied >= a.since, "milliseconds since 1970");
        store.report_applied("a", 8).await.unwrap();
        let again = store.nodes().swap_remove(0);
        assert_eq!((again.revision, again.since), (8, a.since));
        assert!(again.applied >= a.applied);
        store.retire("a").await.unwrap();
        assert_eq!(store.nodes(), [b]);
        assert_eq!(*store.lost().borrow(), None);
    })
    .await;
}

#[tokio::test]
async fn applied_is_what_the_slowest_live_node_has() {
    on_each(|store| async move {
        let mut applied = store.applied();
        assert_eq!(*applied.borrow_and_update(), 0);
        store.report_applied("a", 7).await.unwrap();
        store.report_applied("b", 5).await.unwrap();
        assert_eq!(*applied.borrow_and_update(), 5);
        store.report_applied("a", 8).await.unwrap();
        assert!(!applied.has_changed().unwrap(), "the slowest counts");
        store.retire("b").await.unwrap();
        assert_eq!(*applied.wait_for(|revision| *revision > 5).await.unwrap(), 8);
        store.retire("a").await.unwrap();
        assert_eq!(*applied.borrow_and_update(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_file_keeps_the_settings_for_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("settings.redb");
    let store = Redb::open(&path).unwrap();
    store.commit(0, vec![put("a")]).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(Redb::open(&path), Err(StoreError::InUse(_))));
    drop(store);
    let store = Redb::open(&path).unwrap();
    assert_eq!(store.load().await.unwrap(), (1, vec![put("a")]));
    assert_eq!(store.commit(1, vec![put("b")]).await.unwrap(), 2);
}

async fn written(path: &Path) -> Vec<u8> {
    let store = Redb::open(path).unwrap();
    for revision in 0..20 {
        store.commit(revision, vec![put(&format!("group-{revision}"))]).await.unwrap();
    }
    drop(store);
    fs::read(path).unwrap()
}

#[tokio::test]
async fn a_truncated_file_is_named_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("settings.redb");
    let whole = written(&path).await;
    for length in [0, 1, 63, 320, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = Redb::open(&path).err().unwrap_or_else(|| panic!("{length} bytes were taken"));
        assert!(matches!(error, StoreError::Damaged { .. }), "{length}: {error}");
        assert!(error.to_string().contains("settings.redb"), "{error}");
        assert_eq!(fs::metadata(&path).unwrap().len(), length as u64);
    }
}

#[tokio::test]
async fn a_flipped_byte_of_a_value_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("settings.redb");
    let whole = written(&path).await;
    let newest = whole.windows(8).rposition(|window| window == b"group-19").unwrap();
    let mut flipped = whole.clone();
    // Every copy: older pages may still be lying around, and which one counts is redb's business.
    for at in whole.windows(8).enumerate().filter(|(_, window)| window == b"group-19").map(|(at, _)| at) {
        flipped[at] ^= 1;
    }
    assert_ne!(flipped[newest], whole[newest]);
    fs::write(&path, &flipped).unwrap();
    assert!(matches!(Redb::open(&path), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_value_under_another_key_does_not_pass_its_checksum() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("settings.redb");
    drop(Redb::open(&path).unwrap());
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let table: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("settings");
    transaction.open_table(table).unwrap().insert("domains/x", b"1234{}".as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Redb::open(&path).err().unwrap().to_string();
    assert!(error.contains("the checksum of domains/x does not match"), "{error}");
}

#[tokio::test]
async fn a_store_that_was_handed_on_can_be_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("settings.redb");
    let old = Arc::new(Redb::open(&path).unwrap());
    let follower = Follower::start(old.clone()).await.unwrap();
    old.commit(0, Vec::new()).await.unwrap();
    assert!(matches!(Redb::open(&path), Err(StoreError::InUse(_))));

    old.release();
    assert!(matches!(old.load().await, Err(StoreError::Released(_))));
    assert!(matches!(old.commit(1, Vec::new()).await, Err(CommitError::Unavailable(_))));
    let new = Redb::open(&path).unwrap();
    new.commit(1, Vec::new()).await.unwrap();
    assert!(matches!(old.reclaim(), Err(StoreError::InUse(_))));
    drop(new);

    old.reclaim().unwrap();
    old.reclaim().unwrap();
    let mut states = follower.state();
    states.wait_for(|state| state.revision == 2).await.unwrap();
    assert_eq!(old.commit(2, Vec::new()).await.unwrap(), 3);
    states.wait_for(|state| state.revision == 3).await.unwrap();
}
