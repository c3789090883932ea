//! What only etcd can suffer, on real processes of it: answers that get lost, partitions, compaction, large changes.

use std::net::{Ipv4Addr, TcpListener as Listener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::Follower;
use crate::feed::lock;
use crate::tests::put as group;

/// One member, with a directory of its own.
pub(crate) struct Server {
    process: Child,
    port: u16,
    peers: u16,
    directory: tempfile::TempDir,
}

fn free_port() -> u16 {
    Listener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

impl Server {
    pub(crate) fn start() -> Self {
        // In memory, where there is such a place: whether etcd keeps what it has is not what is tested.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (port, peers) = (free_port(), free_port());
        Self { process: Self::spawn(&directory, port, peers), port, peers, directory }
    }

    fn spawn(directory: &tempfile::TempDir, port: u16, peers: u16) -> Child {
        let (clients, peers) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
        Command::new("etcd")
            .arg("--data-dir")
            .arg(directory.path().join("etcd"))
            .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
            .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &format!("default={peers}")])
            .args(["--heartbeat-interval", "20", "--election-timeout", "100"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the tests need etcd: Debian's package etcd-server")
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.process = Self::spawn(&self.directory, self.port, self.peers);
    }

    fn options(&self) -> EtcdOptions {
        options(&[self.port])
    }

    /// Asks it something that a [`Store`] does not.
    async fn ask(&self, path: &str, body: Value) -> Value {
        self.options().gateway().unwrap().call(path, &body, PATIENCE).await.unwrap()
    }

    async fn compact(&self) {
        let now = self.ask("/v3/kv/range", json!({ "key": "AA==" })).await;
        self.ask("/v3/kv/compaction", json!({ "revision": now["header"]["revision"], "physical": true })).await;
        self.ask("/v3/maintenance/defragment", json!({})).await;
    }

    /// How many keys there are.
    async fn keys(&self) -> usize {
        let all = self.ask("/v3/kv/range", json!({ "key": "AA==", "range_end": "AA==", "count_only": true })).await;
        all["count"].as_str().unwrap_or("0").parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn options(ports: &[u16]) -> EtcdOptions {
    let endpoints = ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
    EtcdOptions { endpoints, prefix: "/countersign".to_owned(), ..EtcdOptions::default() }
}

pub(crate) async fn open(server: &Server) -> Etcd {
    Etcd::open(&server.options()).await.unwrap()
}

/// Stands before etcd, and breaks connections.
struct Between {
    port: u16,
    shared: Arc<BetweenShared>,
    _task: Aborted,
}

#[derive(Default)]
struct BetweenShared {
    /// So many of the next transactions get there, and no answer comes back.
    swallow: AtomicUsize,
    /// Nothing passes.
    is_cut: watch::Sender<bool>,
}

struct Aborted(JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Between {
    async fn start(server: &Server) -> Self {
        let (to, shared) = (server.port, Arc::<BetweenShared>::default());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let of = shared.clone();
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let shared = of.clone();
                tokio::spawn(async move {
                    let mut cut = shared.is_cut.subscribe();
                    if *cut.borrow_and_update() {
                        return;
                    }
                    tokio::select! {
                        () = relay(client, to, &shared) => {}
                        _ = cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { port, shared, _task: Aborted(task) }
    }

    fn cut(&self, cut: bool) {
        self.shared.is_cut.send_replace(cut);
    }
}

async fn relay(client: TcpStream, to: u16, shared: &BetweenShared) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let swallows = AtomicUsize::new(0);
    let there = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            // A commit: it puts something.
            let text = String::from_utf8_lossy(&buffer[..read]);
            if text.contains("POST /v3/kv/txn") && text.contains("request_put") {
                let left = shared.swallow.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
                swallows.store(usize::from(left.is_ok()), Ordering::SeqCst);
            }
            to_server.write_all(&buffer[..read]).await.unwrap();
        }
    };
    let back = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            if swallows.load(Ordering::SeqCst) > 0 || to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

/// Bytes that cannot be compressed.
fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    rand::fill(&mut noise).unwrap();
    noise
}

fn large(name: &str, bytes: usize) -> Change {
    group(&format!("{name}-{}", HEXLOWER.encode(&noise(bytes / 2))))
}

#[tokio::test]
async fn what_one_commits_arrives_at_the_other() {
    let server = Server::start();
    let (one, two) = (open(&server).await, open(&server).await);
    let mut commits = two.watch(0);
    assert_eq!(one.commit(0, vec![group("a")]).await.unwrap(), 1);
    assert_eq!(commits.next().await, Some(Event::Committed(1, vec![group("a")])));
    assert!(matches!(two.commit(0, vec![group("b")]).await, Err(CommitError::Conflict(1))));
    assert_eq!(two.commit(1, vec![group("b")]).await.unwrap(), 2);
    assert!(matches!(one.commit(1, vec![group("b")]).await, Err(CommitError::Conflict(2))));

    one.report_applied("one", 2).await.unwrap();
    two.report_applied("two", 1).await.unwrap();
    one.applied().wait_for(|applied| *applied == 1).await.unwrap();
    two.report_applied("two", 2).await.unwrap();
    one.applied().wait_for(|applied| *applied == 2).await.unwrap();
    assert_eq!(one.nodes(), two.nodes());
    one.retire("one").await.unwrap();
    while two.nodes().len() == 2 {
        tokio::task::yield_now().await;
    }
    assert!(one.seals_with("a").await.unwrap());
    assert!(two.seals_with("a").await.unwrap());
    assert!(!two.seals_with("b").await.unwrap());
}

#[tokio::test]
async fn a_large_change_is_one_change() {
    let server = Server::start();
    let never = Bounds { log_bytes: u64::MAX, ..BOUNDS };
    let (one, two) = (Etcd::open_within(&server.options(), never).await.unwrap(), open(&server).await);
    let mut commits = two.watch(0);
    // More bytes than etcd takes in a request, and more resources than operations in a transaction.
    let mut changes = vec![large("large", 4_000_000)];
    changes.extend((0..500).map(|number| group(&number.to_string())));
    assert_eq!(one.commit(0, changes.clone()).await.unwrap(), 1);
    assert_eq!(commits.next().await, Some(Event::Committed(1, changes.clone())));
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(two.load().await.unwrap(), (1, changes));
    // Of one that conflicts nothing stays.
    let before = server.keys().await;
    assert!(matches!(two.commit(0, vec![large("x", 2_000_000)]).await, Err(CommitError::Conflict(1))));
    assert_eq!(server.keys().await, before);
    assert_eq!(one.commit(1, vec![group("y")]).await.unwrap(), 2);
}

#[tokio::test]
async fn a_lost_answer_is_found_out_about() {
    let server = Server::start();
    let between = Between::start(&server).await;
    let (store, other) = (Etcd::open(&options(&[between.port])).await.unwrap(), open(&server).await);
    for revision in 0..6 {
        between.shared.swallow.store(1 + revision as usize % 2, Ordering::SeqCst);
        let change = if revision == 3 { large("large", 1_000_000) } else { group(&revision.to_string()) };
        assert_eq!(store.commit(revision, vec![change]).await.unwrap(), revision + 1, "it was made, once");
    }
    assert_eq!(other.load().await.unwrap().0, 6);
    // Nobody was there to be asked: it is not told what is not known.
    between.shared.swallow.store(1000, Ordering::SeqCst);
    let unclear = store.commit(6, vec![group("unclear")]).await;
    assert!(matches!(unclear, Err(CommitError::Unavailable(StoreError::Unclear { .. }))), "{unclear:?}");
    between.shared.swallow.store(0, Ordering::SeqCst);
    assert_eq!(other.load().await.unwrap().0, 7, "it was made all the same");
    assert_eq!(store.commit(7, vec![group("next")]).await.unwrap(), 8);
}

#[tokio::test]
async fn a_node_that_was_away_goes_on_where_it_stopped() {
    let server = Server::start();
    let between = Between::start(&server).await;
    let (one, away) = (open(&server).await, Etcd::open(&options(&[between.port])).await.unwrap());
    let mut commits = away.watch(0);
    one.commit(0, vec![group("0")]).await.unwrap();
    assert_eq!(commits.next().await, Some(Event::Committed(1, vec![group("0")])));
    between.cut(true);
    for revision in 1..200 {
        one.commit(revision, vec![group(&revision.to_string())]).await.unwrap();
    }
    server.compact().await;
    away.lost().wait_for(Option::is_some).await.unwrap();
    between.cut(false);
    for revision in 1..200 {
        let committed = Event::Committed(revision + 1, vec![group(&revision.to_string())]);
        assert_eq!(commits.next().await, Some(committed), "none is missing, none comes twice");
    }
    away.lost().wait_for(Option::is_none).await.unwrap();
    one.commit(200, vec![group("200")]).await.unwrap();
    assert_eq!(commits.next().await, Some(Event::Committed(201, vec![group("200")])));
}

#[tokio::test]
async fn commits_become_a_base() {
    let server = Server::start();
    let bounds = Bounds { log_bytes: 1 << 20, commits: 10, kept: 5 };
    let one = Arc::new(Etcd::open_within(&server.options(), bounds).await.unwrap());
    let late = open(&server).await;
    let follower = Follower::start(one.clone()).await.unwrap();
    let base = || async { one.inner.position().await.unwrap().head.base_revision() };
    let mut revision = 0;
    // Commits go on while bases are made.
    while base().await < 30 {
        let change = if revision == 7 { large("large", 700_000) } else { group(&revision.to_string()) };
        revision = one.commit(revision, vec![change]).await.unwrap();
    }
    let (at, all) = late.load().await.unwrap();
    assert_eq!((at, all.len() as u64), (revision, revision));
    assert!(server.keys().await < 10 + 2 * (10 + 5) + 2 * revision as usize / 3, "what the base holds is forgotten");
    let mut states = follower.state();
    states.wait_for(|state| state.revision == revision).await.unwrap();
    // Somebody who was away for longer than commits are kept.
    *lock(&late.inner.seen) = Seen { revision: 1, commit: None };
    late.inner.feed.skip_to(1);
    let mut commits = late.watch(1);
    late.inner.catch_up().await.unwrap();
    assert_eq!(commits.next().await, Some(Event::Compacted));
    assert_eq!(lock(&late.inner.seen).revision, revision);
    one.inner.rebase().await.unwrap();
    assert_eq!(late.load().await.unwrap().1, all);
}

#[tokio::test]
async fn another_history_is_noticed() {
    let mut server = Server::start();
    let store = Arc::new(open(&server).await);
    let follower = Follower::start(store.clone()).await.unwrap();
    for revision in 0..5 {
        store.commit(revision, vec![group(&revision.to_string())]).await.unwrap();
    }
    // An older backup is restored, as far as a node can tell, and other things were set since.
    let other = options(&[server.port]);
    server.kill();
    std::fs::remove_dir_all(server.directory.path().join("etcd")).unwrap();
    server.start_again();
    let other = Etcd::open(&other).await.unwrap();
    for revision in 0..5 {
        other.commit(revision, vec![group(&format!("other-{revision}"))]).await.unwrap();
    }
    let is_other = |state: &model::State| model::State::one(&state.log_groups, "us-east-1", "other-4").is_some();
    let mut states = follower.state();
    let state = states.wait_for(|state| is_other(state)).await.unwrap().clone();
    assert_eq!(model::State::of(&state.log_groups, "us-east-1").count(), 5);
}

#[tokio::test]
async fn blobs_are_whole_and_stay_when_they_are_put_again() {
    let server = Server::start();
    let (one, two) = (open(&server).await, open(&server).await);
    let (large, small) = (Blob::of(noise(3_000_000)), Blob::of(*b"small"));
    for blob in [&large, &small] {
        one.put_blob(blob.clone()).await.unwrap();
    }
    assert_eq!(two.blob(large.digest()).await.unwrap().as_ref(), Some(&large));
    let listed = one.blobs().await.unwrap();
    two.put_blob(large.clone()).await.unwrap();
    assert!(one.drop_blobs(0, listed).await.unwrap());
    assert_eq!(two.blob(large.digest()).await.unwrap().as_ref(), Some(&large), "somebody is about to name it");
    assert_eq!(two.blob(small.digest()).await.unwrap(), None);
    let listed = one.blobs().await.unwrap();
    assert!(one.drop_blobs(0, listed).await.unwrap());
    assert_eq!(server.keys().await, 1, "the head is left, and no pieces");
}

#[tokio::test]
async fn a_member_that_does_not_answer_is_passed_over() {
    let server = Server::start();
    // It takes connections, and that is all.
    let silent = Listener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let ports = [silent.local_addr().unwrap().port(), free_port(), server.port];
    let store = Etcd::open(&options(&ports)).await.unwrap();
    assert_eq!(store.commit(0, vec![group("a")]).await.unwrap(), 1);
    let nobody = Etcd::open(&options(&[free_port()])).await;
    assert!(matches!(nobody, Err(StoreError::Unclear { .. } | StoreError::Unreachable { .. })));
}

#[tokio::test]
async fn users_log_in_again_where_their_token_is_not_known() {
    let mut server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let password_file = directory.path().join("password");
    std::fs::write(&password_file, "right\n").unwrap();
    for (path, body) in [
        ("/v3/auth/user/add", json!({ "name": "root", "password": "right" })),
        ("/v3/auth/role/add", json!({ "name": "root" })),
        ("/v3/auth/user/grant", json!({ "user": "root", "role": "root" })),
        ("/v3/auth/enable", json!({})),
    ] {
        server.ask(path, body).await;
    }
    let nobody = Etcd::open(&server.options()).await.err().unwrap().to_string();
    assert!(nobody.contains("refuses: etcdserver: user name is empty"), "{nobody}");
    let (user, password_file) = (Some("root".to_owned()), Some(password_file));
    let options = EtcdOptions { user, password_file: password_file.clone(), ..server.options() };
    let store = Etcd::open(&options).await.unwrap();
    let mut commits = store.watch(0);
    store.commit(0, vec![group("a")]).await.unwrap();
    // Tokens are in its memory.
    server.kill();
    server.start_again();
    assert_eq!(store.commit(1, vec![group("b")]).await.unwrap(), 2);
    assert_eq!(commits.next().await, Some(Event::Committed(1, vec![group("a")])));
    assert_eq!(commits.next().await, Some(Event::Committed(2, vec![group("b")])));
    let other = Etcd::open(&options).await.unwrap();
    other.commit(2, vec![group("c")]).await.unwrap();
    assert_eq!(commits.next().await, Some(Event::Committed(3, vec![group("c")])), "it watches again");
    std::fs::write(password_file.unwrap(), "wrong").unwrap();
    let wrong = Etcd::open(&options).await.err().unwrap().to_string();
    assert!(wrong.contains("authentication failed"), "{wrong}");
}

#[test]
fn mistakes_in_options_are_named() {
    let good = options(&[1]);
    assert!(good.check().is_ok());
    let endpoints = |url: &str| EtcdOptions { endpoints: vec![url.to_owned()], ..good.clone() };
    for (wrong, said) in [
        (EtcdOptions { endpoints: Vec::new(), ..good.clone() }, "one endpoint at least"),
        (endpoints("localhost:2379"), "is no endpoint"),
        (endpoints("https://localhost:2379"), "need the CA"),
        (EtcdOptions { prefix: "/".to_owned(), ..good.clone() }, "prefix"),
        (EtcdOptions { key: Some("k".into()), ..good.clone() }, "belong together"),
        (EtcdOptions { user: Some("u".to_owned()), ..good.clone() }, "belong together"),
    ] {
        let error = wrong.check().unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
