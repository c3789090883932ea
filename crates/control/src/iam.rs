//! AWS Identity and Access Management: users, groups, roles, policies and access keys.
//!
//! What the policies say to a request is decided in [`crate::authorization`]; here they are set. An operation is a pure rule over a
//! [`model::State`], in the file of its resource; here each is given its caller.

mod access_key;
mod attachments;
mod entity;
mod group;
mod managed;
mod page;
mod role;
mod simulate;
mod summary;
mod tags;
mod user;

use aws::iam::{self as wire, Iam};
use aws::{Caller, Error};
use model::resource::{Group, ManagedPolicy, Role, User};

use crate::Control;
pub(crate) use access_key::KeyUses;
pub(crate) use attachments::{checked_policy, is_attachable};
use page::{Page, page};

impl Iam for Control {
    async fn add_user_to_group(&self, caller: &Caller, input: wire::AddUserToGroupRequest) -> Result<(), Error> {
        group::add(self, caller, input).await
    }

    async fn attach_group_policy(&self, caller: &Caller, input: wire::AttachGroupPolicyRequest) -> Result<(), Error> {
        attachments::attach::<Group>(self, caller, &input.group_name, &input.policy_arn).await
    }

    async fn attach_role_policy(&self, caller: &Caller, input: wire::AttachRolePolicyRequest) -> Result<(), Error> {
        attachments::attach::<Role>(self, caller, &input.role_name, &input.policy_arn).await
    }

    async fn attach_user_policy(&self, caller: &Caller, input: wire::AttachUserPolicyRequest) -> Result<(), Error> {
        attachments::attach::<User>(self, caller, &input.user_name, &input.policy_arn).await
    }

    async fn create_access_key(
        &self,
        caller: &Caller,
        input: wire::CreateAccessKeyRequest,
    ) -> Result<wire::CreateAccessKeyResponse, Error> {
        access_key::create(self, caller, input).await
    }

    async fn create_group(
        &self,
        caller: &Caller,
        input: wire::CreateGroupRequest,
    ) -> Result<wire::CreateGroupResponse, Error> {
        group::create(self, caller, input).await
    }

    async fn create_policy(
        &self,
        caller: &Caller,
        input: wire::CreatePolicyRequest,
    ) -> Result<wire::CreatePolicyResponse, Error> {
        managed::create(self, caller, input).await
    }

    async fn create_policy_version(
        &self,
        caller: &Caller,
        input: wire::CreatePolicyVersionRequest,
    ) -> Result<wire::CreatePolicyVersionResponse, Error> {
        managed::create_version(self, caller, input).await
    }

    async fn create_role(
        &self,
        caller: &Caller,
        input: wire::CreateRoleRequest,
    ) -> Result<wire::CreateRoleResponse, Error> {
        role::create(self, caller, input).await
    }

    async fn create_user(
        &self,
        caller: &Caller,
        input: wire::CreateUserRequest,
    ) -> Result<wire::CreateUserResponse, Error> {
        user::create(self, caller, input).await
    }

    async fn delete_access_key(&self, caller: &Caller, input: wire::DeleteAccessKeyRequest) -> Result<(), Error> {
        access_key::delete(self, caller, input).await
    }

    async fn delete_group(&self, caller: &Caller, input: wire::DeleteGroupRequest) -> Result<(), Error> {
        group::delete(self, caller, input).await
    }

    async fn delete_group_policy(&self, caller: &Caller, input: wire::DeleteGroupPolicyRequest) -> Result<(), Error> {
        attachments::delete::<Group>(self, caller, &input.group_name, &input.policy_name).await
    }

    async fn delete_policy(&self, caller: &Caller, input: wire::DeletePolicyRequest) -> Result<(), Error> {
        managed::delete(self, caller, input).await
    }

    async fn delete_policy_version(
        &self,
        caller: &Caller,
        input: wire::DeletePolicyVersionRequest,
    ) -> Result<(), Error> {
        managed::delete_version(self, caller, input).await
    }

    async fn delete_role(&self, caller: &Caller, input: wire::DeleteRoleRequest) -> Result<(), Error> {
        role::delete(self, caller, input).await
    }

    async fn delete_role_permissions_boundary(
        &self,
        caller: &Caller,
        input: wire::DeleteRolePermissionsBoundaryRequest,
    ) -> Result<(), Error> {
        attachments::bound::<Role>(self, caller, &input.role_name, None).await
    }

    async fn delete_role_policy(&self, caller: &Caller, input: wire::DeleteRolePolicyRequest) -> Result<(), Error> {
        attachments::delete::<Role>(self, caller, &input.role_name, &input.policy_name).await
    }

    async fn delete_user(&self, caller: &Caller, input: wire::DeleteUserRequest) -> Result<(), Error> {
        user::delete(self, caller, input).await
    }

    async fn delete_user_permissions_boundary(
        &self,
        caller: &Caller,
        input: wire::DeleteUserPermissionsBoundaryRequest,
    ) -> Result<(), Error> {
        attachments::bound::<User>(self, caller, &input.user_name, None).await
    }

    async fn delete_user_policy(&self, caller: &Caller, input: wire::DeleteUserPolicyRequest) -> Result<(), Error> {
        attachments::delete::<User>(self, caller, &input.user_name, &input.policy_name).await
    }

    async fn detach_group_policy(&self, caller: &Caller, input: wire::DetachGroupPolicyRequest) -> Result<(), Error> {
        attachments::detach::<Group>(self, caller, &input.group_name, &input.policy_arn).await
    }

    async fn detach_role_policy(&self, caller: &Caller, input: wire::DetachRolePolicyRequest) -> Result<(), Error> {
        attachments::detach::<Role>(self, caller, &input.role_name, &input.policy_arn).await
    }

    async fn detach_user_policy(&self, caller: &Caller, input: wire::DetachUserPolicyRequest) -> Result<(), Error> {
        attachments::detach::<User>(self, caller, &input.user_name, &input.policy_arn).await
    }

    async fn get_access_key_last_used(
        &self,
        caller: &Caller,
        input: wire::GetAccessKeyLastUsedRequest,
    ) -> Result<wire::GetAccessKeyLastUsedResponse, Error> {
        access_key::last_used(self, caller, input)
    }

    async fn get_account_summary(&self, _: &Caller) -> Result<wire::GetAccountSummaryResponse, Error> {
        Ok(summary::of(&self.settings().state()))
    }

    async fn get_context_keys_for_custom_policy(
        &self,
        caller: &Caller,
        input: wire::GetContextKeysForCustomPolicyRequest,
    ) -> Result<wire::GetContextKeysForPolicyResponse, Error> {
        simulate::keys_of_custom(self, caller, input)
    }

    async fn get_context_keys_for_principal_policy(
        &self,
        caller: &Caller,
        input: wire::GetContextKeysForPrincipalPolicyRequest,
    ) -> Result<wire::GetContextKeysForPolicyResponse, Error> {
        simulate::keys_of_principal(self, caller, input)
    }

    async fn get_group(&self, caller: &Caller, input: wire::GetGroupRequest) -> Result<wire::GetGroupResponse, Error> {
        group::get(self, caller, input)
    }

    async fn get_group_policy(
        &self,
        _: &Caller,
        input: wire::GetGroupPolicyRequest,
    ) -> Result<wire::GetGroupPolicyResponse, Error> {
        let document = attachments::document::<Group>(&self.settings().state(), &input.group_name, &input.policy_name)?;
        Ok(wire::GetGroupPolicyResponse {
            group_name: Some(input.group_name),
            policy_name: Some(input.policy_name),
            policy_document: Some(document),
        })
    }

    async fn get_policy(
        &self,
        caller: &Caller,
        input: wire::GetPolicyRequest,
    ) -> Result<wire::GetPolicyResponse, Error> {
        managed::get(self, caller, input)
    }

    async fn get_policy_version(
        &self,
        caller: &Caller,
        input: wire::GetPolicyVersionRequest,
    ) -> Result<wire::GetPolicyVersionResponse, Error> {
        managed::version(self, caller, input)
    }

    async fn get_role(&self, caller: &Caller, input: wire::GetRoleRequest) -> Result<wire::GetRoleResponse, Error> {
        role::get(self, caller, input)
    }

    async fn get_role_policy(
        &self,
        _: &Caller,
        input: wire::GetRolePolicyRequest,
    ) -> Result<wire::GetRolePolicyResponse, Error> {
        let document = attachments::document::<Role>(&self.settings().state(), &input.role_name, &input.policy_name)?;
        Ok(wire::GetRolePolicyResponse {
            role_name: Some(input.role_name),
            policy_name: Some(input.policy_name),
            policy_document: Some(document),
        })
    }

    async fn get_user(&self, caller: &Caller, input: wire::GetUserRequest) -> Result<wire::GetUserResponse, Error> {
        user::get(self, caller, input)
    }

    async fn get_user_policy(
        &self,
        _: &Caller,
        input: wire::GetUserPolicyRequest,
    ) -> Result<wire::GetUserPolicyResponse, Error> {
        let document = attachments::document::<User>(&self.settings().state(), &input.user_name, &input.policy_name)?;
        Ok(wire::GetUserPolicyResponse {
            user_name: Some(input.user_name),
            policy_name: Some(input.policy_name),
            policy_document: Some(document),
        })
    }

    async fn list_access_keys(
        &self,
        caller: &Caller,
        input: wire::ListAccessKeysRequest,
    ) -> Result<wire::ListAccessKeysResponse, Error> {
        access_key::list(self, caller, input)
    }

    async fn list_account_aliases(
        &self,
        _: &Caller,
        input: wire::ListAccountAliasesRequest,
    ) -> Result<wire::ListAccountAliasesResponse, Error> {
        page::<String>(Vec::new(), input.marker, input.max_items)?;
        Ok(wire::ListAccountAliasesResponse {
            account_aliases: Some(Vec::new()),
            is_truncated: Some(false),
            marker: None,
        })
    }

    async fn list_attached_group_policies(
        &self,
        _: &Caller,
        input: wire::ListAttachedGroupPoliciesRequest,
    ) -> Result<wire::ListAttachedGroupPoliciesResponse, Error> {
        let attached =
            attachments::attached::<Group>(&self.settings().state(), &input.group_name, input.path_prefix.as_deref())?;
        let Page { items, is_truncated, marker } = page(attached, input.marker, input.max_items)?;
        Ok(wire::ListAttachedGroupPoliciesResponse { attached_policies: Some(items), is_truncated, marker })
    }

    async fn list_attached_role_policies(
        &self,
        _: &Caller,
        input: wire::ListAttachedRolePoliciesRequest,
    ) -> Result<wire::ListAttachedRolePoliciesResponse, Error> {
        let attached =
            attachments::attached::<Role>(&self.settings().state(), &input.role_name, input.path_prefix.as_deref())?;
        let Page { items, is_truncated, marker } = page(attached, input.marker, input.max_items)?;
        Ok(wire::ListAttachedRolePoliciesResponse { attached_policies: Some(items), is_truncated, marker })
    }

    async fn list_attached_user_policies(
        &self,
        _: &Caller,
        input: wire::ListAttachedUserPoliciesRequest,
    ) -> Result<wire::ListAttachedUserPoliciesResponse, Error> {
        let attached =
            attachments::attached::<User>(&self.settings().state(), &input.user_name, input.path_prefix.as_deref())?;
        let Page { items, is_truncated, marker } = page(attached, input.marker, input.max_items)?;
        Ok(wire::ListAttachedUserPoliciesResponse { attached_policies: Some(items), is_truncated, marker })
    }

    async fn list_entities_for_policy(
        &self,
        caller: &Caller,
        input: wire::ListEntitiesForPolicyRequest,
    ) -> Result<wire::ListEntitiesForPolicyResponse, Error> {
        managed::entities(self, caller, input)
    }

    async fn list_group_policies(
        &self,
        _: &Caller,
        input: wire::ListGroupPoliciesRequest,
    ) -> Result<wire::ListGroupPoliciesResponse, Error> {
        let names = attachments::names::<Group>(&self.settings().state(), &input.group_name)?;
        let Page { items, is_truncated, marker } = page(names, input.marker, input.max_items)?;
        Ok(wire::ListGroupPoliciesResponse { policy_names: Some(items), is_truncated, marker })
    }

    async fn list_groups(
        &self,
        caller: &Caller,
        input: wire::ListGroupsRequest,
    ) -> Result<wire::ListGroupsResponse, Error> {
        group::list(self, caller, input)
    }

    async fn list_groups_for_user(
        &self,
        caller: &Caller,
        input: wire::ListGroupsForUserRequest,
    ) -> Result<wire::ListGroupsForUserResponse, Error> {
        user::groups(self, caller, input)
    }

    async fn list_instance_profiles_for_role(
        &self,
        caller: &Caller,
        input: wire::ListInstanceProfilesForRoleRequest,
    ) -> Result<wire::ListInstanceProfilesForRoleResponse, Error> {
        role::instance_profiles(self, caller, input)
    }

    async fn list_policies(
        &self,
        caller: &Caller,
        input: wire::ListPoliciesRequest,
    ) -> Result<wire::ListPoliciesResponse, Error> {
        managed::list(self, caller, input)
    }

    async fn list_policy_tags(
        &self,
        _: &Caller,
        input: wire::ListPolicyTagsRequest,
    ) -> Result<wire::ListPolicyTagsResponse, Error> {
        let tags = tags::list::<ManagedPolicy>(&self.settings().state(), &input.policy_arn)?;
        let Page { items, is_truncated, marker } = page(tags, input.marker, input.max_items)?;
        Ok(wire::ListPolicyTagsResponse { tags: Some(items), is_truncated, marker })
    }

    async fn list_policy_versions(
        &self,
        caller: &Caller,
        input: wire::ListPolicyVersionsRequest,
    ) -> Result<wire::ListPolicyVersionsResponse, Error> {
        managed::versions(self, caller, input)
    }

    async fn list_role_policies(
        &self,
        _: &Caller,
        input: wire::ListRolePoliciesRequest,
    ) -> Result<wire::ListRolePoliciesResponse, Error> {
        let names = attachments::names::<Role>(&self.settings().state(), &input.role_name)?;
        let Page { items, is_truncated, marker } = page(names, input.marker, input.max_items)?;
        Ok(wire::ListRolePoliciesResponse { policy_names: Some(items), is_truncated, marker })
    }

    async fn list_role_tags(
        &self,
        _: &Caller,
        input: wire::ListRoleTagsRequest,
    ) -> Result<wire::ListRoleTagsResponse, Error> {
        let tags = tags::list::<Role>(&self.settings().state(), &input.role_name)?;
        let Page { items, is_truncated, marker } = page(tags, input.marker, input.max_items)?;
        Ok(wire::ListRoleTagsResponse { tags: Some(items), is_truncated, marker })
    }

    async fn list_roles(
        &self,
        caller: &Caller,
        input: wire::ListRolesRequest,
    ) -> Result<wire::ListRolesResponse, Error> {
        role::list(self, caller, input)
    }

    async fn list_user_policies(
        &self,
        _: &Caller,
        input: wire::ListUserPoliciesRequest,
    ) -> Result<wire::ListUserPoliciesResponse, Error> {
        let names = attachments::names::<User>(&self.settings().state(), &input.user_name)?;
        let Page { items, is_truncated, marker } = page(names, input.marker, input.max_items)?;
        Ok(wire::ListUserPoliciesResponse { policy_names: Some(items), is_truncated, marker })
    }

    async fn list_user_tags(
        &self,
        _: &Caller,
        input: wire::ListUserTagsRequest,
    ) -> Result<wire::ListUserTagsResponse, Error> {
        let tags = tags::list::<User>(&self.settings().state(), &input.user_name)?;
        let Page { items, is_truncated, marker } = page(tags, input.marker, input.max_items)?;
        Ok(wire::ListUserTagsResponse { tags: Some(items), is_truncated, marker })
    }

    async fn list_users(
        &self,
        caller: &Caller,
        input: wire::ListUsersRequest,
    ) -> Result<wire::ListUsersResponse, Error> {
        user::list(self, caller, input)
    }

    async fn put_group_policy(&self, caller: &Caller, input: wire::PutGroupPolicyRequest) -> Result<(), Error> {
        attachments::put::<Group>(self, caller, &input.group_name, &input.policy_name, &input.policy_document).await
    }

    async fn put_role_permissions_boundary(
        &self,
        caller: &Caller,
        input: wire::PutRolePermissionsBoundaryRequest,
    ) -> Result<(), Error> {
        attachments::bound::<Role>(self, caller, &input.role_name, Some(&input.permissions_boundary)).await
    }

    async fn put_role_policy(&self, caller: &Caller, input: wire::PutRolePolicyRequest) -> Result<(), Error> {
        attachments::put::<Role>(self, caller, &input.role_name, &input.policy_name, &input.policy_document).await
    }

    async fn put_user_permissions_boundary(
        &self,
        caller: &Caller,
        input: wire::PutUserPermissionsBoundaryRequest,
    ) -> Result<(), Error> {
        attachments::bound::<User>(self, caller, &input.user_name, Some(&input.permissions_boundary)).await
    }

    async fn put_user_policy(&self, caller: &Caller, input: wire::PutUserPolicyRequest) -> Result<(), Error> {
        attachments::put::<User>(self, caller, &input.user_name, &input.policy_name, &input.policy_document).await
    }

    async fn remove_user_from_group(
        &self,
        caller: &Caller,
        input: wire::RemoveUserFromGroupRequest,
    ) -> Result<(), Error> {
        group::remove(self, caller, input).await
    }

    async fn set_default_policy_version(
        &self,
        caller: &Caller,
        input: wire::SetDefaultPolicyVersionRequest,
    ) -> Result<(), Error> {
        managed::set_default(self, caller, input).await
    }

    async fn simulate_custom_policy(
        &self,
        caller: &Caller,
        input: wire::SimulateCustomPolicyRequest,
    ) -> Result<wire::SimulatePolicyResponse, Error> {
        simulate::custom(self, caller, input)
    }

    async fn simulate_principal_policy(
        &self,
        caller: &Caller,
        input: wire::SimulatePrincipalPolicyRequest,
    ) -> Result<wire::SimulatePolicyResponse, Error> {
        simulate::principal(self, caller, input)
    }

    async fn tag_policy(&self, caller: &Caller, input: wire::TagPolicyRequest) -> Result<(), Error> {
        tags::tag::<ManagedPolicy>(self, caller, &input.policy_arn, input.tags).await
    }

    async fn tag_role(&self, caller: &Caller, input: wire::TagRoleRequest) -> Result<(), Error> {
        tags::tag::<Role>(self, caller, &input.role_name, input.tags).await
    }

    async fn tag_user(&self, caller: &Caller, input: wire::TagUserRequest) -> Result<(), Error> {
        tags::tag::<User>(self, caller, &input.user_name, input.tags).await
    }

    async fn untag_policy(&self, caller: &Caller, input: wire::UntagPolicyRequest) -> Result<(), Error> {
        tags::untag::<ManagedPolicy>(self, caller, &input.policy_arn, &input.tag_keys).await
    }

    async fn untag_role(&self, caller: &Caller, input: wire::UntagRoleRequest) -> Result<(), Error> {
        tags::untag::<Role>(self, caller, &input.role_name, &input.tag_keys).await
    }

    async fn untag_user(&self, caller: &Caller, input: wire::UntagUserRequest) -> Result<(), Error> {
        tags::untag::<User>(self, caller, &input.user_name, &input.tag_keys).await
    }

    async fn update_access_key(&self, caller: &Caller, input: wire::UpdateAccessKeyRequest) -> Result<(), Error> {
        access_key::update(self, caller, input).await
    }

    async fn update_assume_role_policy(
        &self,
        caller: &Caller,
        input: wire::UpdateAssumeRolePolicyRequest,
    ) -> Result<(), Error> {
        role::trust(self, caller, input).await
    }

    async fn update_group(&self, caller: &Caller, input: wire::UpdateGroupRequest) -> Result<(), Error> {
        group::update(self, caller, input).await
    }

    async fn update_role(
        &self,
        caller: &Caller,
        input: wire::UpdateRoleRequest,
    ) -> Result<wire::UpdateRoleResponse, Error> {
        role::update(self, caller, input).await
    }

    async fn update_role_description(
        &self,
        caller: &Caller,
        input: wire::UpdateRoleDescriptionRequest,
    ) -> Result<wire::UpdateRoleDescriptionResponse, Error> {
        role::describe(self, caller, input).await
    }

    async fn update_user(&self, caller: &Caller, input: wire::UpdateUserRequest) -> Result<(), Error> {
        user::update(self, caller, input).await
    }
}
