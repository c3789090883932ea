//! `[records]` and `[audit]`: how long records are kept, and who can tell that they are what they were.

use std::time::Duration;

use serde::Deserialize;

use super::sinks::Witness;

/// `[records]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Records {
    /// Days after which records are not kept any longer, as soon as all of their segment are as old; 0: they are kept for ever.
    pub(crate) retention_days: u32,
}

/// `[audit]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Audit {
    /// What the log of records is called, and its key; made up at the first start, and never changed after it.
    pub(crate) name: Option<String>,
    /// Seconds after which new records are signed for.
    pub(crate) checkpoint_seconds: u32,
    /// Who is told of every checkpoint. It is to be where nobody who can write here can change it.
    pub(crate) witness: Option<Witness>,
}

impl Audit {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let forbidden = |c: char| c == '+' || c.is_whitespace() || c.is_control();
        if self.name.as_ref().is_some_and(|name| name.is_empty() || name.contains(forbidden)) {
            return Err("audit.name: expected a name without spaces and plus signs, e.g. example.com/gateway-1");
        }
        if self.checkpoint_seconds == 0 {
            return Err("audit.checkpoint_seconds: expected at least 1");
        }
        Ok(())
    }

    pub(crate) fn checkpoint_after(&self) -> Duration {
        Duration::from_secs(self.checkpoint_seconds.into())
    }
}

impl Default for Records {
    /// Six years, which HIPAA asks for (45 CFR 164.316(b)(2)(i)).
    fn default() -> Self {
        Self { retention_days: 6 * 365 + 2 }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self { name: None, checkpoint_seconds: 10, witness: None }
    }
}
