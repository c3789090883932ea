//! How much there is of everything, and how much there may be.

use std::collections::BTreeMap;

use aws::iam::GetAccountSummaryResponse;
use model::State;

use super::{group, managed, role, user};

pub(super) fn of(state: &State) -> GetAccountSummaryResponse {
    let versions: usize = state.managed_policies.values().map(|policy| policy.versions.len()).sum();
    let entries = [
        ("AccessKeysPerUserQuota", 2),
        ("AccountAccessKeysPresent", 0),
        ("AccountMFAEnabled", 0),
        ("AssumeRolePolicySizeQuota", role::MAX_TRUST),
        ("AttachedPoliciesPerGroupQuota", 10),
        ("AttachedPoliciesPerRoleQuota", 10),
        ("AttachedPoliciesPerUserQuota", 10),
        ("GroupPolicySizeQuota", 5120),
        ("Groups", state.groups.len()),
        ("GroupsPerUserQuota", group::MAX_GROUPS_OF_USER),
        ("GroupsQuota", group::MAX_GROUPS),
        ("InstanceProfiles", 0),
        ("MFADevices", 0),
        ("MFADevicesInUse", 0),
        ("Policies", state.managed_policies.len()),
        ("PoliciesQuota", managed::MAX_POLICIES),
        ("PolicySizeQuota", managed::MAX_POLICY),
        ("PolicyVersionsInUse", versions),
        ("Providers", 0),
        ("RolePolicySizeQuota", 10240),
        ("Roles", state.roles.len()),
        ("RolesQuota", role::MAX_ROLES),
        ("ServerCertificates", 0),
        ("UserPolicySizeQuota", 2048),
        // The administrator is one.
        ("Users", state.users.len() + 1),
        ("UsersQuota", user::MAX_USERS),
        ("VersionsPerPolicyQuota", managed::MAX_VERSIONS),
    ];
    let map: BTreeMap<String, i32> =
        entries.map(|(name, number)| (name.to_owned(), i32::try_from(number).unwrap_or(i32::MAX))).into();
    GetAccountSummaryResponse { summary_map: Some(map) }
}
