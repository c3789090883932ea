//! AWS Certificate Manager: the certificates that domains show, imported or issued by the local CA.

mod account;
mod detail;
mod export;
mod files;
mod import;
mod life;
mod order;
mod request;
mod search;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws::acm::*;
use aws::{Caller, Error};
use model::resource::{Certificate, CertificateOrigin, Tags};
use model::{Change, State};

use crate::page_token::{self, Order};
use crate::{Control, ids};

pub use files::FileCertificate;
pub(crate) use order::is_failing_renewal;
pub use order::{AcmeWork, ClaimedOrder, Failed, Outcome};

const MAX_TAGS: usize = 50;
const MAX_PAGE: usize = 1_000;

impl Acm for Control {
    async fn import_certificate(
        &self,
        caller: &Caller,
        input: ImportCertificateRequest,
    ) -> Result<ImportCertificateResponse, Error> {
        let at = self.now();
        let chain = input.certificate_chain.as_ref().map(|chain| chain.0.as_slice());
        let material = import::Material::read(&input.certificate.0, &input.private_key.0.0, chain, at)?;
        let replaced = input.certificate_arn;
        if replaced.is_some() && input.tags.is_some() {
            return Err(validation("Tagging is not permitted on re-import."));
        }
        let tags = checked_tags(Tags::new(), input.tags.unwrap_or_default())?;
        let arn = replaced.clone().map_or_else(|| self.new_certificate_arn(caller), Ok)?;
        let made = material.into_certificate(self.keyring(), arn, caller.region.clone(), tags, at)?;
        let rule = |state: &State| {
            let mut made = made.clone();
            if replaced.is_some() {
                let old = find(state, caller, &made.arn)?;
                files::is_not_of_files(old)?;
                if old.origin != CertificateOrigin::Imported {
                    return Err(validation(format!("The certificate {} was not imported.", made.arn)));
                }
                made.tags = old.tags.clone();
            }
            Ok((vec![Change::put(&made)], ()))
        };
        self.settings().change(caller, rule).await?;
        Ok(ImportCertificateResponse { certificate_arn: Some(made.arn) })
    }

    async fn request_certificate(
        &self,
        caller: &Caller,
        input: RequestCertificateRequest,
    ) -> Result<RequestCertificateResponse, Error> {
        let arn = self.issue_certificate(caller, input).await?;
        Ok(RequestCertificateResponse { certificate_arn: Some(arn) })
    }

    async fn describe_certificate(
        &self,
        caller: &Caller,
        input: DescribeCertificateRequest,
    ) -> Result<DescribeCertificateResponse, Error> {
        let state = self.settings().state();
        let certificate = find(&state, caller, &input.certificate_arn)?;
        Ok(DescribeCertificateResponse { certificate: Some(detail::detail(&state, certificate, self.now())) })
    }

    async fn get_certificate(
        &self,
        caller: &Caller,
        input: GetCertificateRequest,
    ) -> Result<GetCertificateResponse, Error> {
        let state = self.settings().state();
        let found = find(&state, caller, &input.certificate_arn)?;
        if found.life.validation.is_some() {
            let message = format!("The certificate {} is not issued yet.", found.arn);
            return Err(Error::client("RequestInProgressException", message));
        }
        Ok(GetCertificateResponse {
            certificate: Some(found.certificate.clone()),
            certificate_chain: found.chain.clone(),
        })
    }

    /// All key types are listed; AWS leaves out all but RSA up to 2048 bits unless `includes.keyTypes` names them.
    async fn list_certificates(
        &self,
        caller: &Caller,
        input: ListCertificatesRequest,
    ) -> Result<ListCertificatesResponse, Error> {
        let (state, now) = (self.settings().state(), self.now());
        let mut found: Vec<_> = state.certificates.values().filter(|c| c.region == caller.region).collect();
        found.sort_by_cached_key(|certificate| place(certificate));
        if input.sort_by.is_some() != input.sort_order.is_some() {
            return Err(validation("SortBy and SortOrder belong together: specify both."));
        }
        let order = Order::descending(input.sort_order == Some(SortOrder::Descending));
        if order == Order::Descending {
            found.reverse();
        }
        let after = after(input.next_token.as_deref())?;
        let list = found
            .into_iter()
            .map(|certificate| (place(certificate), certificate))
            // Certificates of earlier pages need not be read.
            .filter(|(place, _)| order.is_ahead(place, after.as_deref()))
            .map(|(place, certificate)| (place, detail::summary(&state, certificate, now)))
            .filter(|(_, found)| detail::wanted(found, input.certificate_statuses.as_deref(), input.includes.as_ref()))
            .filter(|(_, summary)| {
                input
                    .certificate_key_pair_origins
                    .as_ref()
                    .is_none_or(|wanted| wanted.iter().any(|one| Some(*one) == summary.certificate_key_pair_origin))
            });
        let limit = input.max_items.and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
        let (list, next_token) = page_token::cut_in(order, list, |(place, _)| place.clone(), after.as_deref(), limit);
        let list = list.into_iter().map(|(_, summary)| summary).collect();
        Ok(ListCertificatesResponse { certificate_summary_list: Some(list), next_token })
    }

    async fn search_certificates(
        &self,
        caller: &Caller,
        input: SearchCertificatesRequest,
    ) -> Result<SearchCertificatesResponse, Error> {
        search::search(&self.settings().state(), caller, &input, self.now())
    }

    async fn get_account_configuration(&self, caller: &Caller) -> Result<GetAccountConfigurationResponse, Error> {
        Ok(account::get(&self.settings().state(), caller))
    }

    async fn put_account_configuration(
        &self,
        caller: &Caller,
        input: PutAccountConfigurationRequest,
    ) -> Result<(), Error> {
        self.settings().change(caller, |state| account::put(state, caller, &input)).await
    }

    async fn delete_certificate(&self, caller: &Caller, input: DeleteCertificateRequest) -> Result<(), Error> {
        let arn = input.certificate_arn;
        let rule = |state: &State| {
            let found = find(state, caller, &arn)?;
            files::is_not_of_files(found)?;
            if !detail::in_use_by(state, &arn).is_empty() {
                let message = format!("Certificate {arn} in account {} is in use.", caller.account);
                return Err(Error::client("ResourceInUseException", message));
            }
            let order = state.acme_orders.get(&arn).map(|order| Change::delete(order.as_ref()));
            Ok(([Change::delete(found.as_ref())].into_iter().chain(order).collect(), ()))
        };
        self.settings().change(caller, rule).await
    }

    async fn add_tags_to_certificate(&self, caller: &Caller, input: AddTagsToCertificateRequest) -> Result<(), Error> {
        let rule = |state: &State| {
            let mut certificate = Certificate::clone(find(state, caller, &input.certificate_arn)?);
            certificate.tags = checked_tags(certificate.tags, input.tags.clone())?;
            Ok((vec![Change::put(&certificate)], ()))
        };
        self.settings().change(caller, rule).await
    }

    async fn remove_tags_from_certificate(
        &self,
        caller: &Caller,
        input: RemoveTagsFromCertificateRequest,
    ) -> Result<(), Error> {
        let rule = |state: &State| {
            let mut certificate = Certificate::clone(find(state, caller, &input.certificate_arn)?);
            for tag in &input.tags {
                // With a value, only the tag that has it is meant.
                let meant = tag.value.as_ref().is_none_or(|value| certificate.tags.get(&tag.key) == Some(value));
                if meant {
                    certificate.tags.remove(&tag.key);
                }
            }
            Ok((vec![Change::put(&certificate)], ()))
        };
        self.settings().change(caller, rule).await
    }

    async fn list_tags_for_certificate(
        &self,
        caller: &Caller,
        input: ListTagsForCertificateRequest,
    ) -> Result<ListTagsForCertificateResponse, Error> {
        Ok(ListTagsForCertificateResponse { tags: Some(self.tags_of(caller, &input.certificate_arn)?) })
    }

    /// AWS has this for other things than certificates, of which there are none here.
    async fn tag_resource(&self, caller: &Caller, input: TagResourceRequest) -> Result<(), Error> {
        let TagResourceRequest { resource_arn: certificate_arn, tags } = input;
        self.add_tags_to_certificate(caller, AddTagsToCertificateRequest { certificate_arn, tags }).await
    }

    async fn untag_resource(&self, caller: &Caller, input: UntagResourceRequest) -> Result<(), Error> {
        let tags = input.tag_keys.into_iter().map(|key| Tag { key, value: None }).collect();
        let input = RemoveTagsFromCertificateRequest { certificate_arn: input.resource_arn, tags };
        self.remove_tags_from_certificate(caller, input).await
    }

    async fn list_tags_for_resource(
        &self,
        caller: &Caller,
        input: ListTagsForResourceRequest,
    ) -> Result<ListTagsForResourceResponse, Error> {
        Ok(ListTagsForResourceResponse { tags: Some(self.tags_of(caller, &input.resource_arn)?) })
    }

    async fn renew_certificate(&self, caller: &Caller, input: RenewCertificateRequest) -> Result<(), Error> {
        self.renew_now(caller, &input.certificate_arn).await
    }

    async fn export_certificate(
        &self,
        caller: &Caller,
        input: ExportCertificateRequest,
    ) -> Result<ExportCertificateResponse, Error> {
        self.export(caller, input).await
    }

    async fn revoke_certificate(
        &self,
        caller: &Caller,
        input: RevokeCertificateRequest,
    ) -> Result<RevokeCertificateResponse, Error> {
        self.revoke(caller, &input.certificate_arn, input.revocation_reason).await
    }

    async fn update_certificate_options(
        &self,
        caller: &Caller,
        input: UpdateCertificateOptionsRequest,
    ) -> Result<(), Error> {
        self.update_options(caller, input).await
    }
}

impl Control {
    fn tags_of(&self, caller: &Caller, arn: &str) -> Result<Vec<Tag>, Error> {
        let state = self.settings().state();
        let tags = find(&state, caller, arn)?.tags.clone();
        Ok(tags.into_iter().map(|(key, value)| Tag { key, value: Some(value) }).collect())
    }

    fn new_certificate_arn(&self, caller: &Caller) -> Result<String, Error> {
        Ok(certificate_arn(caller, &ids::uuid()?))
    }
}

fn certificate_arn(caller: &Caller, id: &str) -> String {
    format!("arn:aws:acm:{}:{}:certificate/{id}", caller.region, caller.account)
}

fn find<'s>(state: &'s State, caller: &Caller, arn: &str) -> Result<&'s Arc<Certificate>, Error> {
    let found = state.certificates.get(arn).filter(|certificate| certificate.region == caller.region);
    found.ok_or_else(|| Error::resource_not_found(format!("Could not find certificate {arn}.")))
}

/// `tags` and `added` together.
fn checked_tags(mut tags: BTreeMap<String, String>, added: Vec<Tag>) -> Result<BTreeMap<String, String>, Error> {
    for Tag { key, value } in added {
        if key.to_ascii_lowercase().starts_with("aws:") {
            let message = "aws: prefixed tag key names are not allowed for external use.";
            return Err(Error::client("InvalidTagException", message));
        }
        if key.starts_with("countersign:") {
            let message = format!("Unknown tag {key}: a certificate has no tags that start with countersign:.");
            return Err(Error::client("InvalidTagException", message));
        }
        tags.insert(key, value.unwrap_or_default());
    }
    if tags.len() > MAX_TAGS {
        let message = format!("The certificate would have more than {MAX_TAGS} tags.");
        return Err(Error::client("TooManyTagsException", message));
    }
    Ok(tags)
}

/// Where a certificate stands in the order in which they were made.
fn place(certificate: &Certificate) -> String {
    format!("{:020}:{}", certificate.created.max(0), certificate.arn)
}

/// What a token says that the page comes after.
fn after(token: Option<&str>) -> Result<Option<String>, Error> {
    let read = |token| page_token::read(token).ok_or_else(|| validation("The next token is not valid."));
    token.map(read).transpose()
}

fn validation(message: impl Into<String>) -> Error {
    Error::client("ValidationException", message)
}

#[cfg(test)]
pub(crate) mod tests;
