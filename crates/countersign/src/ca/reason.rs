//! Why a certificate is revoked.

use rcgen::RevocationReason;
use serde::{Deserialize, Serialize};

/// Section 5.3.1 of RFC 5280, but for those that take a revocation back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "camelCase")]
#[value(rename_all = "camelCase")]
pub(super) enum Reason {
    Unspecified,
    KeyCompromise,
    #[serde(rename = "cACompromise")]
    #[value(name = "cACompromise")]
    CaCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    PrivilegeWithdrawn,
    #[serde(rename = "aACompromise")]
    #[value(name = "aACompromise")]
    AaCompromise,
}

impl Reason {
    /// `None` where the list should not say one: "unspecified" is told by leaving it out.
    pub(super) fn on_list(self) -> Option<RevocationReason> {
        Some(match self {
            Self::Unspecified => return None,
            Self::KeyCompromise => RevocationReason::KeyCompromise,
            Self::CaCompromise => RevocationReason::CaCompromise,
            Self::AffiliationChanged => RevocationReason::AffiliationChanged,
            Self::Superseded => RevocationReason::Superseded,
            Self::CessationOfOperation => RevocationReason::CessationOfOperation,
            Self::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
            Self::AaCompromise => RevocationReason::AaCompromise,
        })
    }
}
