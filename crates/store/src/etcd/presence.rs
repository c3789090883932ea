//! Being there: a lease that ends with the node, and what it enforces, kept by that lease.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::Revision;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Inner;
use super::gateway::Trouble;
use super::wire::{LeaseAnswer, PutAnswer, Streamed, TxnAnswer, delete, leased, put_request, txn};
use crate::feed::lock;
use crate::{Node, StoreError};

/// Seconds after which a node that says nothing is not there any more.
const LEASE_SECONDS: u32 = 10;
/// Between two signs of life.
const SIGN: Duration = Duration::from_secs(3);
/// For somebody who has better to do.
const PATIENCE: Duration = Duration::from_secs(1);
/// Of gRPC: there is no such lease.
const NOT_FOUND: i64 = 5;

/// What this process says of its nodes: of one, outside of tests.
#[derive(Default)]
pub(super) struct Presence {
    nodes: Mutex<BTreeMap<String, Node>>,
    lease: tokio::sync::Mutex<Option<i64>>,
    /// Something was not said yet.
    is_behind: AtomicBool,
    /// Another process says it.
    is_hushed: AtomicBool,
}

impl Presence {
    pub(super) fn hush(&self, hush: bool) {
        self.is_hushed.store(hush, Ordering::Relaxed);
        self.is_behind.store(true, Ordering::Relaxed);
    }
}

impl Inner {
    /// As [`crate::Store::report_applied`]. What cannot be said now is said as soon as it can.
    pub(super) async fn report(&self, name: &str, revision: Revision) -> Result<(), StoreError> {
        let node = {
            let mut nodes = lock(&self.presence.nodes);
            let node = Node::at(name, revision, nodes.get(name));
            nodes.insert(name.to_owned(), node.clone());
            node
        };
        match self.presence.is_hushed.load(Ordering::Relaxed) {
            true => Ok(()),
            false => self.say(node, PATIENCE).await,
        }
    }

    /// As [`crate::Store::retire`]. Another process that says something of the same node goes on to do so.
    pub(super) async fn retire(&self, name: &str) -> Result<(), StoreError> {
        let is_last = {
            let mut nodes = lock(&self.presence.nodes);
            nodes.remove(name).is_some() && nodes.is_empty()
        };
        let mut lease = self.presence.lease.lock().await;
        let Some(id) = *lease else { return Ok(()) };
        let key = self.keys.node(name);
        let gone: Result<TxnAnswer, Trouble> =
            self.gateway.call("/v3/kv/txn", &txn(&[leased(&key, id)], &[delete(&key)], &[]), PATIENCE).await;
        if is_last {
            *lease = None;
            let request = json!({ "ID": id.to_string() });
            let _: Result<Value, Trouble> = self.gateway.call("/v3/lease/revoke", &request, PATIENCE).await;
        }
        let gone = gone.map_err(|e| e.of_write(self.gateway.names()))?;
        if gone.succeeded {
            self.feed.nodes.set(name, gone.header.revision, None);
        }
        Ok(())
    }

    /// Gives signs of life, for ever.
    pub(super) async fn stay(self: Arc<Self>) {
        loop {
            sleep(SIGN).await;
            let nodes: Vec<Node> = lock(&self.presence.nodes).values().cloned().collect();
            if nodes.is_empty() || self.presence.is_hushed.load(Ordering::Relaxed) {
                continue;
            }
            let id = *self.presence.lease.lock().await;
            if let Some(id) = id {
                let request = json!({ "ID": id.to_string() });
                let alive = self.gateway.call("/v3/lease/keepalive", &request, SIGN).await;
                let alive: Result<Streamed<LeaseAnswer>, Trouble> = alive;
                match alive {
                    // The process was stopped for a while, or etcd was.
                    Ok(Streamed { result: Some(answer), .. }) if answer.ttl <= 0 => self.lose(id).await,
                    Ok(_) => {}
                    Err(_) => continue,
                }
            }
            if self.presence.is_behind.swap(false, Ordering::Relaxed) {
                for node in nodes {
                    let _ = self.say(node, SIGN).await;
                }
            }
        }
    }

    async fn say(&self, node: Node, patience: Duration) -> Result<(), StoreError> {
        let said = match self.put_node(&node, patience).await {
            Err((Some(lease), Trouble::Refused { code: NOT_FOUND, .. })) => {
                self.lose(lease).await;
                self.put_node(&node, patience).await
            }
            said => said,
        };
        match said {
            Ok(version) => {
                let name = node.name.clone();
                self.feed.nodes.set(&name, version, Some(node));
                Ok(())
            }
            Err((_, trouble)) => {
                self.presence.is_behind.store(true, Ordering::Relaxed);
                Err(trouble.of_write(self.gateway.names()))
            }
        }
    }

    /// Under which lease it was tried is told where it did not work.
    async fn put_node(&self, node: &Node, patience: Duration) -> Result<i64, (Option<i64>, Trouble)> {
        let lease = self.lease(patience).await.map_err(|e| (None, e))?;
        let json = serde_json::to_vec(node).expect("plain data with string keys");
        let request = put_request(&self.keys.node(&node.name), &json, lease);
        let put: Result<PutAnswer, Trouble> = self.gateway.call("/v3/kv/put", &request, patience).await;
        put.map(|put| put.header.revision).map_err(|e| (Some(lease), e))
    }

    async fn lease(&self, patience: Duration) -> Result<i64, Trouble> {
        let mut lease = self.presence.lease.lock().await;
        if let Some(id) = *lease {
            return Ok(id);
        }
        let request = json!({ "TTL": LEASE_SECONDS.to_string() });
        let granted: LeaseAnswer = self.gateway.call("/v3/lease/grant", &request, patience).await?;
        *lease = Some(granted.id);
        Ok(granted.id)
    }

    /// This lease has ended: the next one says everything again.
    async fn lose(&self, id: i64) {
        let mut lease = self.presence.lease.lock().await;
        if *lease == Some(id) {
            *lease = None;
        }
        self.presence.is_behind.store(true, Ordering::Relaxed);
    }
}
