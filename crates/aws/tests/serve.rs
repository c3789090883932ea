//! Whole services, from a request's bytes to the answer's.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws::acm::{
    self, Acm, AddTagsToCertificateRequest, CertificateDetail, CertificateStatus, DeleteCertificateRequest,
    DescribeCertificateRequest, DescribeCertificateResponse, GetAccountConfigurationResponse, GetCertificateRequest,
    GetCertificateResponse, ImportCertificateRequest, ImportCertificateResponse, ListCertificatesRequest,
    ListCertificatesResponse, ListTagsForCertificateRequest, ListTagsForCertificateResponse,
    PutAccountConfigurationRequest, RemoveTagsFromCertificateRequest, RequestCertificateRequest,
    RequestCertificateResponse, SearchCertificatesRequest, SearchCertificatesResponse,
};
use aws::sts::{
    self, AssumeRoleRequest, AssumeRoleResponse, GetAccessKeyInfoRequest, GetAccessKeyInfoResponse,
    GetCallerIdentityRequest, GetCallerIdentityResponse, GetFederationTokenRequest, GetFederationTokenResponse,
    GetSessionTokenRequest, GetSessionTokenResponse, Sts,
};
use aws::{Caller, Error, Operation, Timestamp};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

const ARN: &str = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-4000-8000-000000000001";
const REQUEST_ID: &str = "11111111-2222-4333-8444-555555555555";

/// Answers with what it was given, so that tests see what arrived.
struct Echo;

impl Acm for Echo {
    async fn import_certificate(
        &self,
        _: &Caller,
        input: ImportCertificateRequest,
    ) -> Result<ImportCertificateResponse, Error> {
        assert!(!format!("{input:?}").contains("secret"), "{input:?}");
        assert_eq!((input.certificate.0.as_slice(), input.private_key.0.0.as_slice()), (&b"cert"[..], &b"secret"[..]));
        Ok(ImportCertificateResponse { certificate_arn: Some(ARN.to_owned()) })
    }

    async fn describe_certificate(
        &self,
        _: &Caller,
        input: DescribeCertificateRequest,
    ) -> Result<DescribeCertificateResponse, Error> {
        let certificate = CertificateDetail {
            certificate_arn: Some(input.certificate_arn),
            status: Some(CertificateStatus::Issued),
            not_after: Some(Timestamp(1_795_366_800_250)),
            ..CertificateDetail::default()
        };
        Ok(DescribeCertificateResponse { certificate: Some(certificate) })
    }

    async fn get_account_configuration(&self, _: &Caller) -> Result<GetAccountConfigurationResponse, Error> {
        Ok(GetAccountConfigurationResponse::default())
    }

    async fn put_account_configuration(&self, _: &Caller, _: PutAccountConfigurationRequest) -> Result<(), Error> {
        Ok(())
    }

    async fn search_certificates(
        &self,
        _: &Caller,
        _: SearchCertificatesRequest,
    ) -> Result<SearchCertificatesResponse, Error> {
        Ok(SearchCertificatesResponse::default())
    }

    async fn delete_certificate(&self, _: &Caller, _: DeleteCertificateRequest) -> Result<(), Error> {
        Ok(())
    }

    async fn get_certificate(&self, _: &Caller, input: GetCertificateRequest) -> Result<GetCertificateResponse, Error> {
        Err(Error::resource_not_found(format!("Could not find certificate {}.", input.certificate_arn)))
    }

    async fn request_certificate(
        &self,
        _: &Caller,
        input: RequestCertificateRequest,
    ) -> Result<RequestCertificateResponse, Error> {
        Ok(RequestCertificateResponse { certificate_arn: Some(input.domain_name) })
    }

    async fn list_certificates(
        &self,
        _: &Caller,
        _: ListCertificatesRequest,
    ) -> Result<ListCertificatesResponse, Error> {
        Ok(ListCertificatesResponse::default())
    }

    async fn add_tags_to_certificate(&self, _: &Caller, _: AddTagsToCertificateRequest) -> Result<(), Error> {
        Ok(())
    }

    async fn remove_tags_from_certificate(&self, _: &Caller, _: RemoveTagsFromCertificateRequest) -> Result<(), Error> {
        Ok(())
    }

    async fn list_tags_for_certificate(
        &self,
        _: &Caller,
        _: ListTagsForCertificateRequest,
    ) -> Result<ListTagsForCertificateResponse, Error> {
        Ok(ListTagsForCertificateResponse::default())
    }

    async fn tag_resource(&self, _: &Caller, _: acm::TagResourceRequest) -> Result<(), Error> {
        Ok(())
    }

    async fn untag_resource(&self, _: &Caller, _: acm::UntagResourceRequest) -> Result<(), Error> {
        Ok(())
    }

    async fn list_tags_for_resource(
        &self,
        _: &Caller,
        _: acm::ListTagsForResourceRequest,
    ) -> Result<acm::ListTagsForResourceResponse, Error> {
        Ok(acm::ListTagsForResourceResponse::default())
    }

    async fn renew_certificate(&self, _: &Caller, _: acm::RenewCertificateRequest) -> Result<(), Error> {
        Ok(())
    }

    async fn export_certificate(
        &self,
        _: &Caller,
        input: acm::ExportCertificateRequest,
    ) -> Result<acm::ExportCertificateResponse, Error> {
        assert!(!format!("{input:?}").contains("secret"), "{input:?}");
        Ok(acm::ExportCertificateResponse::default())
    }

    async fn revoke_certificate(
        &self,
        _: &Caller,
        _: acm::RevokeCertificateRequest,
    ) -> Result<acm::RevokeCertificateResponse, Error> {
        Ok(acm::RevokeCertificateResponse::default())
    }

    async fn update_certificate_options(
        &self,
        _: &Caller,
        _: acm::UpdateCertificateOptionsRequest,
    ) -> Result<(), Error> {
        Ok(())
    }
}

impl Sts for Echo {
    async fn get_caller_identity(
        &self,
        caller: &Caller,
        _: GetCallerIdentityRequest,
    ) -> Result<GetCallerIdentityResponse, Error> {
        Ok(GetCallerIdentityResponse {
            account: Some(caller.account.clone()),
            arn: Some(caller.arn.clone()),
            user_id: Some(caller.user_id.clone()),
        })
    }

    async fn assume_role(&self, _: &Caller, _: AssumeRoleRequest) -> Result<AssumeRoleResponse, Error> {
        Err(Error::access_denied("nobody"))
    }

    async fn get_access_key_info(
        &self,
        _: &Caller,
        _: GetAccessKeyInfoRequest,
    ) -> Result<GetAccessKeyInfoResponse, Error> {
        Err(Error::access_denied("nobody"))
    }

    async fn get_federation_token(
        &self,
        _: &Caller,
        _: GetFederationTokenRequest,
    ) -> Result<GetFederationTokenResponse, Error> {
        Err(Error::access_denied("nobody"))
    }

    async fn get_session_token(&self, _: &Caller, _: GetSessionTokenRequest) -> Result<GetSessionTokenResponse, Error> {
        Err(Error::access_denied("nobody"))
    }
}

#[test]
fn json_in_json_out() {
    let input = json!({"Certificate": "Y2VydA==", "PrivateKey": "c2VjcmV0", "Unknown": [1]});
    let response = acm("CertificateManager.ImportCertificate", &input.to_string());
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-amz-json-1.1");
    assert_eq!(response.headers()["x-amzn-requestid"], REQUEST_ID);
    assert_eq!(body(&response), json!({"CertificateArn": ARN}));

    let response = acm("CertificateManager.DescribeCertificate", &json!({"CertificateArn": ARN}).to_string());
    let expected = json!({"Certificate": {"CertificateArn": ARN, "Status": "ISSUED", "NotAfter": 1_795_366_800.25}});
    assert_eq!(body(&response), expected);

    let response = acm("CertificateManager.DeleteCertificate", &json!({"CertificateArn": ARN}).to_string());
    assert_eq!((response.status(), response.body().len()), (StatusCode::OK, 0));
    assert_eq!(body(&acm("CertificateManager.ListCertificates", "")), json!({}));
}

#[test]
fn json_errors() {
    let long = format!("{}.com", "a".repeat(260));
    for (target, input, status, code, message) in [
        (
            "CertificateManager.GetCertificate",
            json!({"CertificateArn": ARN}),
            400,
            "ResourceNotFoundException",
            "Could not find certificate arn:",
        ),
        (
            "CertificateManager.Nothing",
            json!({}),
            400,
            "UnknownOperationException",
            "There is no operation CertificateManager.Nothing",
        ),
        ("Logs_20140328.CreateLogGroup", json!({}), 400, "UnknownOperationException", "There is no operation"),
        (
            "CertificateManager.ResendValidationEmail",
            json!({}),
            400,
            "UnknownOperationException",
            "Countersign does not have the operation ResendValidationEmail of acm.",
        ),
        (
            "CertificateManager.GetCertificate",
            json!([]),
            400,
            "SerializationException",
            "The body is not a JSON object.",
        ),
        (
            "CertificateManager.GetCertificate",
            json!({"CertificateArn": 7}),
            400,
            "SerializationException",
            "'certificateArn' has a value of the wrong type",
        ),
        (
            "CertificateManager.ImportCertificate",
            json!({"Certificate": "?", "PrivateKey": ""}),
            400,
            "SerializationException",
            "'certificate' is not base64",
        ),
        (
            "CertificateManager.GetCertificate",
            json!({}),
            400,
            "ValidationException",
            "1 validation error detected: Value null at 'certificateArn' failed to satisfy constraint: Member must not be null",
        ),
        (
            "CertificateManager.DescribeCertificate",
            json!({"CertificateArn": "foo"}),
            400,
            "ValidationException",
            "2 validation errors detected: Value 'foo' at 'certificateArn' failed to satisfy constraint: Member must have length greater than or equal to 20; Value 'foo' at 'certificateArn' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:",
        ),
        (
            "CertificateManager.RequestCertificate",
            json!({"DomainName": long}),
            400,
            "ValidationException",
            "2 validation errors detected: Value 'aaa",
        ),
        (
            "CertificateManager.RequestCertificate",
            json!({"DomainName": "a.com", "KeyAlgorithm": "DSA"}),
            400,
            "ValidationException",
            "1 validation error detected: Value 'DSA' at 'keyAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [RSA_1024, RSA_2048, ",
        ),
        (
            "CertificateManager.ListCertificates",
            json!({"MaxItems": 1001}),
            400,
            "ValidationException",
            "1 validation error detected: Value '1001' at 'maxItems' failed to satisfy constraint: Member must have value less than or equal to 1000",
        ),
        (
            "CertificateManager.ListCertificates",
            json!({"MaxItems": 1e300}),
            400,
            "SerializationException",
            "'maxItems' is not a whole number in range",
        ),
        (
            "CertificateManager.AddTagsToCertificate",
            json!({"CertificateArn": ARN, "Tags": [{"Key": "a?"}]}),
            400,
            "ValidationException",
            "1 validation error detected: Value 'a?' at 'tags.1.member.key' failed to satisfy constraint: Member must satisfy regular expression pattern: ",
        ),
        (
            "CertificateManager.ImportCertificate",
            json!({"Certificate": "Y2VydA==", "PrivateKey": ""}),
            400,
            "ValidationException",
            "1 validation error detected: Value at 'privateKey' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
    ] {
        let response = acm(target, &input.to_string());
        let found = body(&response);
        assert_eq!(
            (response.status().as_u16(), found["__type"].as_str()),
            (status, Some(code)),
            "{target} {input}: {found}"
        );
        assert!(found["message"].as_str().is_some_and(|found| found.starts_with(message)), "{target} {input}: {found}");
        assert_eq!(response.headers()["x-amzn-requestid"], REQUEST_ID);
    }
}

#[test]
fn bodies_that_are_no_input_never_panic() {
    let bodies = [
        "{",
        "nul",
        "\"x\"",
        "1e999",
        "{\"CertificateArn\":1e999}",
        "\u{0}",
        "{\"CertificateArn\":{\"a\":[]}}",
        "{\"Tags\":[null]}",
    ];
    let deep = "[".repeat(100_000);
    let nested = format!("{{\"CertificateArn\":{}1{}}}", "[".repeat(120), "]".repeat(120));
    for operation in acm::ALL_OPERATIONS {
        for text in bodies.into_iter().chain([deep.as_str(), nested.as_str()]) {
            let response = acm(&format!("CertificateManager.{}", operation.name), text);
            let expected: &[u16] = if operation.is_served() { &[200, 400] } else { &[400] };
            assert!(expected.contains(&response.status().as_u16()), "{} {text:.40} {response:?}", operation.name);
        }
    }
}

/// JSON with the models' own names in it, so that it gets past the first look.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,30}".prop_map(Value::from),
        Just(Value::from(ARN)),
        Just(Value::from("Y2VydA==")),
    ];
    let name = prop::sample::select(vec![
        "CertificateArn",
        "DomainName",
        "Tags",
        "Key",
        "Value",
        "MaxItems",
        "Includes",
        "keyTypes",
        "Options",
        "SubjectAlternativeNames",
        "DomainValidationOptions",
        "ValidationDomain",
        "CertificateStatuses",
        "x",
    ]);
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_input_makes_it_panic(json in any_json(), index in any::<prop::sample::Index>(), bytes in any::<Vec<u8>>()) {
        let operation = index.get(acm::ALL_OPERATIONS);
        prop_assume!(operation.name != "ImportCertificate"); // The echo looks at its input.
        let expected: &[u16] = if operation.is_served() { &[200, 400] } else { &[400] };
        let target = format!("CertificateManager.{}", operation.name);
        let response = acm(&target, &json.to_string());
        prop_assert!(expected.contains(&response.status().as_u16()), "{response:?}");
        let parts = parts("/", Some(&target));
        let response = now(acm::serve(&Echo, &caller(), &parts, &bytes, |_, _| Ok(())));
        prop_assert!(expected.contains(&response.status().as_u16()), "{response:?}");
        let response = now(sts::serve(&Echo, &caller(), &parts, &bytes, |_, _| Ok(())));
        prop_assert!(response.status().is_client_error(), "{response:?}");
    }
}

#[test]
fn query_in_xml_out() {
    for (uri, form) in
        [("/", "Action=GetCallerIdentity&Version=2011-06-15"), ("/?Action=GetCallerIdentity&Version=2011-06-15", "")]
    {
        let response = sts(uri, form);
        assert_eq!(response.headers()["content-type"], "text/xml");
        assert_eq!(
            text(&response),
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Account>123456789012</Account><Arn>arn:aws:iam::123456789012:user/a&amp;b</Arn><UserId>AIDAEXAMPLE</UserId>\
             </GetCallerIdentityResult><ResponseMetadata><RequestId>11111111-2222-4333-8444-555555555555</RequestId>\
             </ResponseMetadata></GetCallerIdentityResponse>"
        );
    }
}

#[test]
fn query_errors() {
    for (form, status, expected) in [
        ("", 400, "<Type>Sender</Type><Code>MissingAction</Code>"),
        (
            "Action=Nothing&Version=1",
            400,
            "<Type>Sender</Type><Code>InvalidAction</Code><Message>Could not find operation Nothing for version 1</Message>",
        ),
        (
            "Action=%3Cx%3E",
            400,
            "<Message>Could not find operation &lt;x&gt; for version NO_VERSION_SPECIFIED</Message>",
        ),
        ("Action=AssumeRoot", 400, "<Type>Sender</Type><Code>InvalidAction</Code>"),
        ("%ff=%f&Action=%00", 400, "<Code>InvalidAction</Code>"),
    ] {
        let response = sts("/", form);
        assert_eq!(response.status().as_u16(), status, "{form}");
        assert!(text(&response).contains(expected), "{form}: {}", text(&response));
        assert!(
            text(&response).starts_with("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"),
            "{}",
            text(&response)
        );
    }
}

#[test]
fn who_may_not_call_learns_it_before_the_input_is_held_against_the_model() {
    let refuse = |operation: &'static Operation, _: &serde_json::Map<String, Value>| {
        Err(Error::access_denied(format!("not {}", operation.name)))
    };
    let parts = parts("/", Some("CertificateManager.GetCertificate"));
    let response = now(acm::serve(&Echo, &caller(), &parts, b"{}", refuse));
    assert_eq!(response.status(), 403);
    assert_eq!(response.headers()["x-amzn-errortype"], "AccessDeniedException");
    assert_eq!(body(&response), json!({"__type": "AccessDeniedException", "message": "not GetCertificate"}));
    let response = now(sts::serve(&Echo, &caller(), &parts, b"Action=GetCallerIdentity", refuse));
    assert!(text(&response).contains("<Code>AccessDenied</Code>"), "{}", text(&response));
}

fn acm(target: &str, body: &str) -> Response<Bytes> {
    now(acm::serve(&Echo, &caller(), &parts("/", Some(target)), body.as_bytes(), |_, _| Ok(())))
}

fn sts(uri: &str, form: &str) -> Response<Bytes> {
    now(sts::serve(&Echo, &caller(), &parts(uri, None), form.as_bytes(), |_, _| Ok(())))
}

fn parts(uri: &str, target: Option<&str>) -> Parts {
    let mut request = Request::builder().method("POST").uri(uri);
    if let Some(target) = target {
        request = request.header("x-amz-target", target);
    }
    request.body(()).expect("a request").into_parts().0
}

fn caller() -> Caller {
    Caller {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        arn: "arn:aws:iam::123456789012:user/a&b".to_owned(),
        principal_arn: "arn:aws:iam::123456789012:user/a&b".to_owned(),
        temporary: false,
        authority: std::sync::Arc::new(Anything),
        user_id: "AIDAEXAMPLE".to_owned(),
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        source_ip: [127, 0, 0, 1].into(),
        request_id: REQUEST_ID.to_owned(),
        at: 1_795_366_800,
        user_agent: String::new(),
        service: "apigateway",
        operation: "",
        resource: "*".to_owned(),
        recorded: Default::default(),
    }
}

fn body(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap_or_else(|error| panic!("{error}: {response:?}"))
}

fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).expect("UTF-8")
}

/// Nothing here waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

#[derive(Debug)]
struct Anything;

impl aws::Authority for Anything {
    fn authorize(&self, _: &aws::Asked<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn denies(&self, _: &aws::Asked<'_>) -> bool {
        false
    }

    fn value(&self, _: &str) -> Option<String> {
        None
    }
}
