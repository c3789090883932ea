use super::*;

use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fs;
use tempfile::TempDir;

fn objects() -> (TempDir, Objects) {
    let directory = tempfile::tempdir().unwrap();
    let objects = Objects::open(directory.path()).unwrap();
    objects.create_bucket("b", "us-east-1", BTreeMap::new(), BTreeMap::new(), 1).unwrap();
    (directory, objects)
}

fn versioned() -> (TempDir, Objects) {
    let (directory, objects) = objects();
    set_versioning(&objects, Versioning::Enabled);
    (directory, objects)
}

fn set_versioning(objects: &Objects, to: Versioning) {
    objects.change_bucket("b", |bucket| bucket.versioning = to).unwrap();
}

fn put(objects: &Objects, key: &str, bytes: &[u8]) -> Option<String> {
    let mut staged = objects.stage().unwrap();
    staged.write(bytes).unwrap();
    objects.put("b", key, staged, Metadata::default(), &Precondition::None, 2).unwrap().0.version
}

fn get(objects: &Objects, key: &str, version: Option<&str>) -> Result<Vec<u8>> {
    objects.read("b", key, version, 1 << 20).map(|(bytes, _)| bytes)
}

/// Files of contents, and unfinished ones.
fn files(directory: &TempDir) -> (usize, usize) {
    let count = |path: &Path| fs::read_dir(path).unwrap().count();
    let objects = directory.path().join("objects");
    let shards = fs::read_dir(&objects).unwrap().map(|e| e.unwrap().path()).filter(|p| !p.ends_with("tmp"));
    (shards.map(|shard| count(&shard)).sum(), count(&objects.join("tmp")))
}

#[test]
fn a_put_replaces_without_versioning() {
    let (directory, objects) = objects();
    assert_eq!(put(&objects, "k", b"one"), None);
    assert_eq!(put(&objects, "k", b"two"), None);
    assert_eq!(get(&objects, "k", None).unwrap(), b"two");
    assert_eq!(get(&objects, "k", Some("null")).unwrap(), b"two");
    assert_eq!(files(&directory), (1, 0), "the content that was replaced is gone");
    assert_eq!(objects.delete("b", "k", None, &Precondition::None, 3).unwrap(), Written::default());
    assert!(matches!(get(&objects, "k", None), Err(ObjectError::NoSuchKey { marker: None, .. })));
    assert_eq!(files(&directory), (0, 0));
    assert!(objects.delete("b", "k", None, &Precondition::None, 3).is_ok(), "deleting nothing succeeds");
}

#[test]
fn versions_and_delete_markers() {
    let (_directory, objects) = versioned();
    let one = put(&objects, "k", b"one").unwrap();
    let two = put(&objects, "k", b"two").unwrap();
    assert_eq!(one.len(), 32);
    assert_ne!(one, two);
    assert_eq!(get(&objects, "k", None).unwrap(), b"two");
    assert_eq!(get(&objects, "k", Some(&one)).unwrap(), b"one");

    let marker = objects.delete("b", "k", None, &Precondition::None, 5).unwrap();
    assert!(marker.delete_marker);
    let marker = marker.version.unwrap();
    assert!(matches!(get(&objects, "k", None), Err(ObjectError::NoSuchKey { marker: Some(m), .. }) if m == marker));
    let asked = get(&objects, "k", Some(&marker));
    assert!(matches!(asked, Err(ObjectError::IsDeleteMarker { modified: 5, .. })));
    assert_eq!(get(&objects, "k", Some(&two)).unwrap(), b"two");

    let undone = objects.delete("b", "k", Some(&marker), &Precondition::None, 6).unwrap();
    assert!(undone.delete_marker);
    assert_eq!(get(&objects, "k", None).unwrap(), b"two");
    assert!(!objects.delete("b", "k", Some(&two), &Precondition::None, 7).unwrap().delete_marker);
    assert_eq!(get(&objects, "k", None).unwrap(), b"one");
    assert!(matches!(get(&objects, "k", Some(&two)), Err(ObjectError::NoSuchVersion { .. })));
    assert!(matches!(get(&objects, "k", Some("no id!")), Err(ObjectError::InvalidVersionId(_))));
    assert!(matches!(
        objects.delete("b", "k", Some(""), &Precondition::None, 7),
        Err(ObjectError::InvalidVersionId(_))
    ));
}

#[test]
fn the_null_version_lives_beside_the_others() {
    let (_directory, objects) = objects();
    put(&objects, "k", b"before");
    set_versioning(&objects, Versioning::Enabled);
    let one = put(&objects, "k", b"one").unwrap();
    assert_eq!(get(&objects, "k", Some("null")).unwrap(), b"before");
    set_versioning(&objects, Versioning::Suspended);
    assert_eq!(put(&objects, "k", b"suspended").as_deref(), Some("null"));
    assert_eq!(get(&objects, "k", None).unwrap(), b"suspended");
    assert_eq!(get(&objects, "k", Some("null")).unwrap(), b"suspended");
    assert_eq!(get(&objects, "k", Some(&one)).unwrap(), b"one");
    let deleted = objects.delete("b", "k", None, &Precondition::None, 9).unwrap();
    assert_eq!(deleted, Written { version: Some("null".into()), delete_marker: true });
    assert_eq!(objects.list_versions("b", &Scan { limit: 9, ..Scan::default() }).unwrap().versions.len(), 2);
}

#[test]
fn the_same_content_is_kept_once_and_as_long_as_it_is_used() {
    let (directory, objects) = versioned();
    let one = put(&objects, "a", b"same").unwrap();
    put(&objects, "b", b"same");
    objects.copy(("b", "c"), ("b", "a", None), |_| {}, None, &Precondition::None, 3).unwrap();
    assert_eq!(files(&directory), (1, 0));
    objects.delete("b", "a", Some(&one), &Precondition::None, 4).unwrap();
    assert_eq!(get(&objects, "b", None).unwrap(), b"same");
    assert_eq!(get(&objects, "c", None).unwrap(), b"same");
}

#[test]
fn preconditions_are_decided_with_the_put() {
    let (_directory, objects) = objects();
    let attempt = |precondition| {
        let mut staged = objects.stage().unwrap();
        staged.write(b"x").unwrap();
        objects.put("b", "k", staged, Metadata::default(), &precondition, 2).map(|(_, content)| content.etag)
    };
    let etag = attempt(Precondition::Absent).unwrap();
    assert_eq!(etag, "9dd4e461268c8034f5c8564e155c67a6");
    assert!(matches!(attempt(Precondition::Absent), Err(ObjectError::PreconditionFailed)));
    assert!(matches!(attempt(Precondition::Matches("other".into())), Err(ObjectError::PreconditionFailed)));
    assert!(attempt(Precondition::Matches(etag)).is_ok());
}

#[test]
fn buckets() {
    let (_directory, objects) = versioned();
    assert!(matches!(
        objects.create_bucket("b", "eu-west-1", BTreeMap::new(), BTreeMap::new(), 1),
        Err(ObjectError::BucketAlreadyOwnedByYou(_))
    ));
    let one = put(&objects, "k", b"one").unwrap();
    assert!(matches!(objects.delete_bucket("b"), Err(ObjectError::BucketNotEmpty(_))));
    objects.delete("b", "k", Some(&one), &Precondition::None, 2).unwrap();
    objects.create_bucket("bb", "us-east-1", BTreeMap::new(), BTreeMap::new(), 1).unwrap();
    objects.begin_upload("b", "k", Metadata::default(), None, 1).unwrap();
    objects.delete_bucket("b").unwrap();
    assert!(matches!(objects.delete_bucket("b"), Err(ObjectError::NoSuchBucket(_))));
    assert!(matches!(get(&objects, "k", None), Err(ObjectError::NoSuchBucket(_))));
    assert_eq!(objects.buckets().unwrap().len(), 1);
}

#[test]
fn an_upload_in_parts() {
    let (directory, objects) = versioned();
    let upload = objects.begin_upload("b", "k", Metadata::default(), None, 1).unwrap();
    let part = |number, bytes: &[u8]| {
        let mut staged = objects.stage().unwrap();
        staged.write(bytes).unwrap();
        let part = objects.put_part(("b", "k"), &upload, number, (staged, BTreeMap::new()), 2).unwrap();
        CompletedPart { number, etag: part.etag, checksums: BTreeMap::new() }
    };
    let first = vec![7; 5 << 20];
    let named = [part(1, &first), part(2, b"tail")];
    let complete = |named: &[CompletedPart]| {
        objects.complete_upload(("b", "k"), &upload, &Completion { parts: named.to_vec(), ..Completion::default() }, 3)
    };
    let wrong = [named[0].clone(), CompletedPart { etag: "0".into(), ..named[1].clone() }];
    assert!(matches!(complete(&wrong), Err(ObjectError::InvalidPart(2))));
    let reversed = [named[1].clone(), named[0].clone()];
    assert!(matches!(complete(&reversed), Err(ObjectError::InvalidPartOrder)));
    let small = [part(1, b"small"), named[1].clone()];
    assert!(matches!(complete(&small), Err(ObjectError::PartTooSmall(1))));
    assert!(matches!(complete(&[]), Err(ObjectError::InvalidPartOrder)));
    let named = [part(1, &first), named[1].clone()];
    let (written, content) = complete(&named).unwrap();
    assert!(content.etag.ends_with("-2"), "{}", content.etag);
    let (bytes, id) = objects.read("b", "k", None, MAX_OBJECT_BYTES).unwrap();
    assert_eq!((bytes.len(), Some(id)), (first.len() + 4, written.version));
    assert!(matches!(complete(&named), Err(ObjectError::NoSuchUpload(_))));
    assert_eq!(files(&directory), (1, 0), "the parts are gone");

    let upload = objects.begin_upload("b", "k", Metadata::default(), None, 1).unwrap();
    let mut staged = objects.stage().unwrap();
    staged.write(b"x").unwrap();
    objects.put_part(("b", "k"), &upload, 1, (staged, BTreeMap::new()), 2).unwrap();
    assert!(matches!(objects.abort_upload("b", "other", &upload), Err(ObjectError::NoSuchUpload(_))));
    objects.abort_upload("b", "k", &upload).unwrap();
    assert_eq!(files(&directory), (1, 0));
}

#[test]
fn sizes_are_bounded() {
    let (directory, objects) = objects();
    put(&objects, "k", &[1; 100]);
    assert!(matches!(objects.read("b", "k", None, 99), Err(ObjectError::TooLarge { size: 100, limit: 99 })));
    let mut staged = objects.stage().unwrap();
    let chunk = vec![0; 1 << 20];
    for _ in 0..MAX_OBJECT_BYTES >> 20 {
        staged.write(&chunk).unwrap();
    }
    assert!(matches!(staged.write(b"1"), Err(ObjectError::TooLarge { .. })));
    drop(staged);
    assert_eq!(files(&directory), (1, 0), "what was not put leaves nothing");
}

#[test]
fn what_was_put_is_there_after_a_restart_without_goodbye() {
    let (directory, objects) = versioned();
    let one = put(&objects, "k", b"one").unwrap();
    let unfinished = objects.stage().unwrap();
    // A process that is killed runs no destructor.
    let copy = tempfile::tempdir().unwrap();
    copy_tree(directory.path(), copy.path());
    drop((unfinished, objects));
    fs::create_dir_all(copy.path().join("objects/00")).unwrap();
    fs::write(copy.path().join("objects/00/11"), b"left by a crash").unwrap();

    let objects = Objects::open(copy.path()).unwrap();
    assert_eq!(objects.bucket("b").unwrap().versioning, Versioning::Enabled);
    assert_eq!(get(&objects, "k", Some(&one)).unwrap(), b"one");
    assert!(objects.verify().unwrap().is_empty());
    assert_eq!(files(&copy), (1, 0));
}

#[test]
fn damage_is_named() {
    let (directory, objects) = objects();
    put(&objects, "cut", b"to be cut");
    put(&objects, "gone", b"to be removed");
    put(&objects, "flipped", b"to be flipped");
    let path = |key: &str| objects.blobs.path(&objects.head("b", key, None).unwrap().1.digest);
    fs::write(path("cut"), b"to").unwrap();
    fs::remove_file(path("gone")).unwrap();
    fs::write(path("flipped"), b"to be flippeD").unwrap();

    let faults: Vec<String> = objects.verify().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(
        faults.iter().any(|f| f.contains("s3://b/flipped (version null), does not have the SHA-256")),
        "{faults:?}"
    );
    assert!(faults.iter().any(|f| f.contains("s3://b/cut (version null), has 2 bytes instead of 9")), "{faults:?}");
    assert!(faults.iter().any(|f| f.contains("s3://b/gone (version null), is missing")), "{faults:?}");
    for key in ["cut", "gone", "flipped"] {
        let error = get(&objects, key, None).unwrap_err().to_string();
        assert!(error.contains(&path(key).display().to_string()), "{error}");
    }

    // The same content put again heals it.
    put(&objects, "cut", b"to be cut");
    assert_eq!(get(&objects, "cut", None).unwrap(), b"to be cut");
    drop(objects);
    let index = directory.path().join("objects.redb");
    let bytes = fs::read(&index).unwrap();
    for damaged in [&b""[..], &bytes[..bytes.len() / 2], b"garbage", &vec![0x5a; bytes.len()]] {
        fs::write(&index, damaged).unwrap();
        let error = Objects::open(directory.path()).err().expect("a damaged index is refused").to_string();
        assert!(error.contains("objects.redb"), "{error}");
    }
    fs::remove_file(&index).unwrap();
    let error = Objects::open(directory.path()).err().expect("a lost index is refused").to_string();
    assert!(error.contains("is missing"), "{error}");
}

#[test]
fn an_overwritten_index_is_refused_or_whole() {
    let (directory, objects) = versioned();
    let versions: Vec<String> = (0..40).map(|n| put(&objects, "k", &[n]).unwrap()).collect();
    drop(objects);
    let index = directory.path().join("objects.redb");
    let whole = fs::read(&index).unwrap();
    let mut refused = 0;
    for offset in (0..whole.len() - 64).step_by(whole.len() / 24) {
        let mut damaged = whole.clone();
        damaged[offset..offset + 64].fill(0xa5);
        fs::write(&index, damaged).unwrap();
        match Objects::open(directory.path()) {
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("objects.redb"), "{error}");
            }
            Ok(objects) => {
                assert!(objects.verify().unwrap().is_empty());
                for (n, version) in versions.iter().enumerate() {
                    assert_eq!(get(&objects, "k", Some(version)).unwrap(), [n as u8], "damage at {offset}");
                }
            }
        }
    }
    assert!(refused > 0, "no damage was met at all");
}

#[test]
fn files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, objects) = objects();
    put(&objects, "k", b"x");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&objects.blobs.path(&objects.head("b", "k", None).unwrap().1.digest)), 0o600);
    assert_eq!(mode(&directory.path().join("objects.redb")), 0o600);
    assert_eq!(mode(&directory.path().join("objects")), 0o700);
}

#[test]
fn tags_belong_to_a_version() {
    let (_directory, objects) = versioned();
    let one = put(&objects, "k", b"1").unwrap();
    put(&objects, "k", b"2");
    let tags = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    assert_eq!(objects.set_tags("b", "k", Some(&one), tags.clone()).unwrap(), one);
    assert_eq!(objects.head("b", "k", Some(&one)).unwrap().1.metadata.tags, tags);
    assert!(objects.head("b", "k", None).unwrap().1.metadata.tags.is_empty());
    assert_eq!(get(&objects, "k", None).unwrap(), b"2", "the order of versions did not change");
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|e| e.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What S3 would list, the slow way.
fn expected(keys: &BTreeSet<String>, scan: &Scan<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(scan.prefix)) {
        let name = match scan.delimiter.and_then(|d| Some(scan.prefix.len() + key[scan.prefix.len()..].find(d)? + 1)) {
            Some(end) => &key[..end],
            None => key,
        };
        if names.last().map(String::as_str) != Some(name) {
            names.push(name.to_owned());
        }
    }
    names
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pages_make_up_the_whole_list(
        keys in proptest::collection::btree_set("[ab/\u{10ffff}é]{1,4}", 1..20),
        deleted in proptest::collection::btree_set("[ab/]{1,4}", 0..6),
        prefix in "[ab/]{0,2}",
        delimiter in proptest::option::of(Just("/")),
        limit in 1usize..5,
    ) {
        let (_directory, objects) = versioned();
        for key in keys.union(&deleted) {
            put(&objects, key, b"1");
            put(&objects, key, b"2");
        }
        for key in &deleted {
            objects.delete("b", key, None, &Precondition::None, 3).unwrap();
        }
        let live: BTreeSet<String> = keys.difference(&deleted).cloned().collect();
        let all: BTreeSet<String> = keys.union(&deleted).cloned().collect();

        let mut scan = Scan { prefix: &prefix, delimiter, limit, ..Scan::default() };
        let wanted = expected(&live, &scan);
        let (mut listed, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = objects.list("b", &Scan { after: after.as_deref(), ..scan }).unwrap();
            let mut names: Vec<String> = page.objects.into_iter().map(|o| o.key).chain(page.common_prefixes).collect();
            prop_assert!(names.len() <= limit);
            names.sort();
            listed.extend(names);
            after = page.next;
            if after.is_none() { break }
        }
        prop_assert_eq!(listed, wanted);

        scan.delimiter = None;
        let wanted: usize = expected(&all, &scan).iter().map(|k| if deleted.contains(k) { 3 } else { 2 }).sum();
        let (mut versions, mut next) = (Vec::new(), None::<(String, Option<String>)>);
        loop {
            let (after, after_version) = next.as_ref().map_or((None, None), |(k, v)| (Some(k.as_str()), v.as_deref()));
            let page = objects.list_versions("b", &Scan { after, after_version, ..scan }).unwrap();
            versions.extend(page.versions);
            next = page.next;
            if next.is_none() { break }
        }
        prop_assert_eq!(versions.len(), wanted);
        let latest: Vec<&String> = versions.iter().filter(|v| v.latest).map(|v| &v.key).collect();
        prop_assert_eq!(latest.len(), latest.iter().collect::<BTreeSet<_>>().len());
        prop_assert!(versions.is_sorted_by(|a, b| a.key <= b.key));
        prop_assert!(versions.iter().filter(|v| v.version.content.is_none()).all(|v| v.latest));
    }
}

#[test]
fn what_was_handed_on_can_be_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let old = Objects::open(directory.path()).unwrap();
    old.release();
    assert!(old.buckets().unwrap_err().to_string().contains("handed to another process"));
    let new = Objects::open(directory.path()).unwrap();
    new.create_bucket("bucket", "us-east-1", BTreeMap::new(), BTreeMap::new(), 0).unwrap();
    assert!(old.reclaim().is_err(), "it is in use");
    drop(new);
    old.reclaim().unwrap();
    assert_eq!(old.buckets().unwrap().len(), 1);
}
