//! How many connections there are, in all and from each address. Touched when a connection comes and when it goes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const SHARDS: usize = 16;

/// Counts connections and refuses those beyond the caps.
pub(crate) struct Addresses {
    total: AtomicUsize,
    cap: usize,
    cap_per_address: u32,
    hasher: RandomState,
    shards: [Mutex<HashMap<IpAddr, u32>>; SHARDS],
}

/// A connection that is counted until this is dropped.
pub(crate) struct Counted {
    addresses: Arc<Addresses>,
    key: IpAddr,
}

impl Addresses {
    pub(crate) fn new(cap: usize, cap_per_address: u32) -> Self {
        Self {
            total: AtomicUsize::new(0),
            cap,
            cap_per_address,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Counts a connection of `address`; `None` where it is one too many.
    pub(crate) fn count(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        if self.total.fetch_add(1, Ordering::Relaxed) >= self.cap {
            self.total.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let key = network(address);
        let mut shard = self.shard(key);
        let count = shard.entry(key).or_insert(0);
        if *count >= self.cap_per_address {
            drop(shard);
            self.total.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        *count += 1;
        drop(shard);
        Some(Counted { addresses: self.clone(), key })
    }

    fn shard(&self, key: IpAddr) -> std::sync::MutexGuard<'_, HashMap<IpAddr, u32>> {
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        // A count is complete before its lock is let go.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut shard = self.addresses.shard(self.key);
        if let Some(count) = shard.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&self.key);
            }
        }
        drop(shard);
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
        let addresses = Arc::new(Addresses::new(4, 2));
        let count = |address: &str| addresses.count(address.parse().unwrap());
        let first = count("2001:db8::1").unwrap();
        let _second = count("2001:db8::2").unwrap();
        assert!(count("2001:db8::3").is_none(), "the same /64");
        let _third = count("192.0.2.1").unwrap();
        let _fourth = count("::ffff:192.0.2.1").unwrap();
        assert!(count("192.0.2.1").is_none(), "the same address");
        assert!(count("192.0.2.2").is_none(), "all together");
        drop(first);
        assert!(count("2001:db8::9").is_some());
    }
}
