//! What one judgement may cost, whatever a stranger sends and whatever is in the truststore.

use serde::Serialize;

/// What a judgement has cost, in units of which there is a bound. For tests and for whoever wonders about a slow one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Signature checks, counted in checks with P-256. At most 64: about 2.5 ms.
    pub signature_checks: u32,
    /// Everything else: certificates looked at, names compared, policies followed; one is about 40 ns. At most 25,000:
    /// about a millisecond.
    pub steps: u32,
    /// Complete paths whose names, policies and revocations were looked at. At most 64.
    pub paths: u32,
}

/// Counts what a judgement spends. Each kind of work is asked for before it is done; false says that a bound is reached,
/// and the search has to end without an answer.
#[derive(Default)]
pub(crate) struct Effort {
    cost: Cost,
    exhausted: bool,
}

const MAX_SIGNATURE_CHECKS: u32 = 64;
const MAX_STEPS: u32 = 25_000;
const MAX_PATHS: u32 = 64;

/// Octets of which the digest, or reading them once more, takes as long as a signature check with P-256; counted low,
/// for machines without instructions for SHA-256.
const OCTETS_PER_CHECK: usize = 8 * 1024;

impl Effort {
    pub(crate) fn cost(&self) -> Cost {
        self.cost
    }

    /// Whether anything was refused.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// A check of a signature over `octets`, by a key whose checks cost `weight`.
    pub(crate) fn signature_check(&mut self, weight: u32, octets: usize) -> bool {
        let checks = weight.saturating_add(count(octets / OCTETS_PER_CHECK));
        self.spend(|cost| (&mut cost.signature_checks, MAX_SIGNATURE_CHECKS), checks)
    }

    /// The search comes to another certificate: above `depth` others, whose names, like its own, have `octets`.
    pub(crate) fn visit(&mut self, depth: usize, octets: usize) -> bool {
        self.steps(20 + depth * octets / 256)
    }

    /// The search makes a list of `candidates`, for which it looks for a name of `octets` among `names`.
    pub(crate) fn list(&mut self, candidates: usize, names: usize, octets: usize) -> bool {
        self.steps(1 + candidates + names + octets / 64 + names * octets / 512)
    }

    /// The names of a certificate are read: of `octets`, in a form that can be compared.
    pub(crate) fn read_names(&mut self, octets: usize) -> bool {
        self.steps(4 + octets / 4)
    }

    /// Two names are compared that have so many octets together.
    pub(crate) fn compare(&mut self, octets: usize) -> bool {
        self.steps(1 + octets / 32)
    }

    /// Policies and mappings are followed, so many of them.
    pub(crate) fn follow_policies(&mut self, number: usize) -> bool {
        self.steps(4 * number)
    }

    /// A path is complete.
    pub(crate) fn path(&mut self) -> bool {
        self.spend(|cost| (&mut cost.paths, MAX_PATHS), 1)
    }

    fn steps(&mut self, number: usize) -> bool {
        self.spend(|cost| (&mut cost.steps, MAX_STEPS), count(number))
    }

    fn spend(&mut self, account: impl FnOnce(&mut Cost) -> (&mut u32, u32), more: u32) -> bool {
        let (spent, bound) = account(&mut self.cost);
        if more > bound - *spent {
            self.exhausted = true;
            return false;
        }
        *spent += more;
        true
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
