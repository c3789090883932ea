//! How many connections there are, in all and from each address. Touched when a connection comes and when it goes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Limits;
use crate::counters::Bound;

const SHARDS: usize = 16;

/// Counts connections and refuses those beyond the caps.
#[derive(Debug)]
pub(crate) struct Addresses {
    total: AtomicUsize,
    cap: AtomicUsize,
    cap_per_address: AtomicU32,
    hasher: RandomState,
    shards: [Mutex<HashMap<IpAddr, u32>>; SHARDS],
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    addresses: Arc<Addresses>,
    /// The network by which it is counted; none: of a balancer, which is not one client.
    key: Option<IpAddr>,
}

/// How many connections of clients there are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connections(pub(crate) Arc<Addresses>);

impl Connections {
    /// Now, in whatever state.
    pub fn total(&self) -> usize {
        self.0.total.load(Ordering::Relaxed)
    }
}

impl Addresses {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            total: AtomicUsize::new(0),
            cap: AtomicUsize::new(limits.connections),
            cap_per_address: AtomicU32::new(limits.connections_per_address),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// From now on these caps hold. Who is there already stays.
    pub(crate) fn limit(&self, limits: &Limits) {
        self.cap.store(limits.connections, Ordering::Relaxed);
        self.cap_per_address.store(limits.connections_per_address, Ordering::Relaxed);
    }

    /// Counts a connection of nobody yet; the error is the bound that it is beyond.
    pub(crate) fn count(self: &Arc<Self>) -> Result<Counted, Bound> {
        if self.total.fetch_add(1, Ordering::Relaxed) >= self.cap.load(Ordering::Relaxed) {
            self.total.fetch_sub(1, Ordering::Relaxed);
            return Err(Bound::Connections);
        }
        Ok(Counted { addresses: self.clone(), key: None })
    }

    fn shard(&self, key: IpAddr) -> std::sync::MutexGuard<'_, HashMap<IpAddr, u32>> {
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        // A count is complete before its lock is let go.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// Counts it as one of `address` from now on; the error is the bound that it is beyond.
    pub(crate) fn of(mut self, address: IpAddr) -> Result<Self, Bound> {
        let key = network(address);
        let mut shard = self.addresses.shard(key);
        let count = shard.entry(key).or_insert(0);
        if *count >= self.addresses.cap_per_address.load(Ordering::Relaxed) {
            if *count == 0 {
                shard.remove(&key);
            }
            drop(shard);
            return Err(Bound::ConnectionsPerAddress);
        }
        *count += 1;
        drop(shard);
        self.key = Some(key);
        Ok(self)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let mut shard = self.addresses.shard(key);
            if let Some(count) = shard.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    shard.remove(&key);
                }
            }
        }
        self.addresses.total.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whoever has an IPv6 address has its whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_each_address_and_all_together() {
        let limits = |connections| Limits { connections, connections_per_address: 2, ..Limits::default() };
        let addresses = Arc::new(Addresses::new(&limits(5)));
        let count = |address: &str| addresses.count()?.of(address.parse().unwrap());
        let first = count("2001:db8::1").unwrap();
        let _second = count("2001:db8::2").unwrap();
        assert_eq!(count("2001:db8::3").err(), Some(Bound::ConnectionsPerAddress), "the same /64");
        let _third = count("192.0.2.1").unwrap();
        let _fourth = count("::ffff:192.0.2.1").unwrap();
        assert_eq!(count("192.0.2.1").err(), Some(Bound::ConnectionsPerAddress), "the same address");
        let balancer = addresses.count().unwrap();
        assert_eq!(count("192.0.2.2").err(), Some(Bound::Connections), "all together");
        drop(first);
        assert_eq!(Connections(addresses.clone()).total(), 4);
        let _fifth = count("2001:db8::9").unwrap();
        addresses.limit(&limits(6));
        let _sixth = count("192.0.2.2").unwrap();
        assert_eq!(balancer.of("192.0.2.1".parse().unwrap()).err(), Some(Bound::ConnectionsPerAddress));
        assert_eq!(Connections(addresses.clone()).total(), 5, "what was refused is counted no more");
    }
}
