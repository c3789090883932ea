//! Verdicts of authorizers that hold for a while, and those that are being asked for: who comes meanwhile with the same identity
//! waits for the same answer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::OnceCell;
use trust::UnixSeconds;

use super::verdict::Verdict;

/// Verdicts of one runtime.
const MAX_VERDICTS: usize = 10_000;
/// What they take together.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The verdicts of one runtime.
#[derive(Default)]
pub(crate) struct RememberedVerdicts(RefCell<Memory>);

/// Digest of an authorizer, the identity sources and the client's certificate.
pub(super) type IdentityDigest = [u8; 32];

/// Empty while the authorizer is asked.
pub(super) type Slot = Rc<OnceCell<Answered>>;

/// What came of asking.
#[derive(Clone)]
pub(super) struct Answered {
    pub(super) verdict: Result<Rc<Verdict>, Failure>,
    pub(super) until: UnixSeconds,
}

/// Why there is no verdict.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// It said so by its error, as authorizers of REST APIs do: the client has to show something else.
    Unauthorized,
    /// It did not say anything that can be read.
    NoAnswer(Rc<str>),
}

#[derive(Default)]
struct Memory {
    slots: HashMap<IdentityDigest, Slot>,
    bytes: usize,
}

impl RememberedVerdicts {
    /// The slot for an identity: with a verdict that holds, or one to be filled.
    pub(super) fn slot(&self, digest: &IdentityDigest, at: UnixSeconds) -> Slot {
        let memory = &mut *self.0.borrow_mut();
        if let Some(slot) = memory.slots.get(digest).filter(|slot| holds(slot, at)) {
            return slot.clone();
        }
        memory.make_room(at);
        let slot = Slot::default();
        memory.put(*digest, slot.clone());
        slot
    }

    /// The slot was filled. What failed is not kept: the next one asks again.
    pub(super) fn filled(&self, digest: &IdentityDigest, slot: &Slot) {
        let memory = &mut *self.0.borrow_mut();
        if !memory.slots.get(digest).is_some_and(|known| Rc::ptr_eq(known, slot)) {
            return;
        }
        let bytes = bytes(slot);
        if slot.get().is_some_and(|answered| answered.verdict.is_err()) || bytes > MAX_BYTES {
            memory.slots.remove(digest);
            return;
        }
        memory.bytes += bytes;
        if memory.bytes > MAX_BYTES {
            *memory = Memory::default();
            memory.put(*digest, slot.clone());
        }
    }
}

impl Memory {
    fn put(&mut self, digest: IdentityDigest, slot: Slot) {
        self.bytes += bytes(&slot);
        let old = self.slots.insert(digest, slot);
        self.bytes -= old.map_or(0, |old| bytes(&old));
    }

    /// Those that hold no more go first. Where that is not enough all go: what is still in use is back at once.
    fn make_room(&mut self, at: UnixSeconds) {
        if self.slots.len() < MAX_VERDICTS {
            return;
        }
        self.slots.retain(|_, slot| holds(slot, at));
        self.bytes = self.slots.values().map(bytes).sum();
        if self.slots.len() >= MAX_VERDICTS {
            *self = Self::default();
        }
    }
}

/// Or is being asked for.
fn holds(slot: &Slot, at: UnixSeconds) -> bool {
    slot.get().is_none_or(|answered| at < answered.until)
}

fn bytes(slot: &Slot) -> usize {
    let verdict = slot.get().and_then(|answered| answered.verdict.as_ref().ok());
    verdict.map_or(0, |verdict| size_of::<Verdict>() + verdict.bytes)
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Form;
    use super::*;

    fn fill(slot: &Slot, until: UnixSeconds, padding: usize) {
        let returned = format!(r#"{{"isAuthorized": true, "context": {{"x": "{}"}}}}"#, "x".repeat(padding));
        let verdict = Ok(Rc::new(Verdict::read(returned.as_bytes(), Form::Simple).unwrap()));
        assert!(slot.set(Answered { verdict, until }).is_ok());
    }

    #[test]
    fn a_verdict_holds_until_its_time_is_over() {
        let verdicts = RememberedVerdicts::default();
        let slot = verdicts.slot(&[1; 32], 1_000);
        assert!(Rc::ptr_eq(&slot, &verdicts.slot(&[1; 32], 5_000)), "it is being asked for");
        fill(&slot, 1_300, 0);
        verdicts.filled(&[1; 32], &slot);
        assert!(verdicts.slot(&[1; 32], 1_299).initialized());
        assert!(!verdicts.slot(&[2; 32], 1_299).initialized());
        assert!(!verdicts.slot(&[1; 32], 1_300).initialized());
    }

    #[test]
    fn a_failure_is_shared_and_not_kept() {
        let verdicts = RememberedVerdicts::default();
        let slot = verdicts.slot(&[1; 32], 1_000);
        assert!(slot.set(Answered { verdict: Err(Failure::Unauthorized), until: 9_000 }).is_ok());
        verdicts.filled(&[1; 32], &slot);
        assert!(!verdicts.slot(&[1; 32], 1_001).initialized());
    }

    #[test]
    fn is_bounded_in_number_and_in_bytes() {
        let verdicts = RememberedVerdicts::default();
        for number in 0..2 * MAX_VERDICTS {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_le_bytes());
            let slot = verdicts.slot(&digest, 1_000);
            fill(&slot, 9_000, if number < 600 { 64 * 1024 } else { 0 });
            verdicts.filled(&digest, &slot);
            let memory = verdicts.0.borrow();
            assert!(memory.slots.len() <= MAX_VERDICTS && memory.bytes <= MAX_BYTES);
        }
        let memory = verdicts.0.borrow();
        assert_eq!(memory.bytes, memory.slots.values().map(bytes).sum::<usize>());
    }
}
