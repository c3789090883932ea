//! S3 over HTTP.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use control::objects::Versioning;
use http::{Request, Response};
use http_body_util::Full;

use crate::server::{REGION, Server};

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// Sent as it is after signing, so that a test can spoil it.
async fn signed(
    server: &Server,
    method: &str,
    path: &str,
    body: &[u8],
    headers: &[(&'static str, &str)],
) -> Request<Full<Bytes>> {
    let mut request = server.request(method, path, body);
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    sigv4::sign(&mut request, body, &server.credentials, REGION, "s3", now()).unwrap();
    request
}

async fn put(server: &Server, path: &str, body: &[u8], headers: &[(&'static str, &str)]) -> Response<Bytes> {
    server.send(signed(server, "PUT", path, body, headers).await).await
}

fn text(response: &Response<Bytes>) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}

fn code(response: &Response<Bytes>) -> (u16, String) {
    let text = text(response);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    (response.status().as_u16(), code.map_or(String::new(), |(code, _)| code.to_owned()))
}

#[tokio::test]
async fn buckets_and_versions() {
    let server = Server::start().await;
    assert_eq!(server.s3("PUT", "/your-bucket", b"").await.status(), 200);
    assert_eq!(code(&server.s3("PUT", "/your-bucket", b"").await), (409, "BucketAlreadyOwnedByYou".into()));
    assert_eq!(code(&server.s3("PUT", "/No", b"").await), (400, "InvalidBucketName".into()));
    let on = b"<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(server.s3("PUT", "/your-bucket?versioning", on).await.status(), 200);
    assert!(text(&server.s3("GET", "/your-bucket?versioning", b"").await).contains("<Status>Enabled</Status>"));

    let one = server.put_object("/your-bucket/ca.pem", b"one").await;
    let two = server.put_object("/your-bucket/ca.pem", b"two").await;
    let get = |version: &str| {
        let path = format!("/your-bucket/ca.pem{version}");
        let server = &server;
        async move { server.s3("GET", &path, b"").await }
    };
    let newest = get("").await;
    assert_eq!(newest.body().as_ref(), b"two");
    assert_eq!(newest.headers()["x-amz-version-id"], two.as_str());
    assert_eq!(newest.headers()["etag"], "\"b8a9f715dbb64fd5c56e7783c6820a61\"");
    assert_eq!(get(&format!("?versionId={one}")).await.body().as_ref(), b"one");
    assert_eq!(code(&get(&format!("?versionId={}", "x".repeat(32))).await), (404, "NoSuchVersion".into()));
    assert_eq!(code(&get("?versionId=%21").await), (400, "InvalidArgument".into()));

    let deleted = server.s3("DELETE", "/your-bucket/ca.pem", b"").await;
    assert_eq!((deleted.status().as_u16(), &deleted.headers()["x-amz-delete-marker"]), (204, &"true".parse().unwrap()));
    let gone = get("").await;
    assert_eq!(code(&gone), (404, "NoSuchKey".into()));
    assert_eq!(gone.headers()["x-amz-delete-marker"], "true");
    let marker = deleted.headers()["x-amz-version-id"].to_str().unwrap();
    assert_eq!(code(&get(&format!("?versionId={marker}")).await), (405, "MethodNotAllowed".into()));
    let head = server.s3("HEAD", "/your-bucket/ca.pem", b"").await;
    assert_eq!((head.status().as_u16(), head.body().len()), (404, 0));
    let list = text(&server.s3("GET", "/your-bucket?versions", b"").await);
    assert_eq!(list.matches("<Version>").count(), 2, "{list}");
    assert_eq!(list.matches("<DeleteMarker>").count(), 1, "{list}");
    assert_eq!(code(&server.s3("DELETE", "/your-bucket", b"").await), (409, "BucketNotEmpty".into()));
}

#[tokio::test]
async fn an_upload_is_what_was_said_about_it() {
    let server = Server::start().await;
    server.make_bucket("your-bucket", Versioning::Unversioned);
    for (headers, wanted) in [
        (&[("content-md5", "y+qtrb5eYx7ZnN9BBkU8rg==")][..], "BadDigest"),
        (&[("content-md5", "no base64")], "InvalidDigest"),
        (&[("x-amz-checksum-crc32", "AAAAAA==")], "BadDigest"),
        (&[("x-amz-checksum-sha256", "AAAA")], "BadDigest"),
        (&[("content-md5", "jXd/OF09/siBXSD3SWAm3A==")], ""),
        (&[("x-amz-checksum-crc32", "rfPzYw==")], ""),
        (&[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")], ""),
    ] {
        let answer = put(&server, "/your-bucket/k", b"data", headers).await;
        assert_eq!(code(&answer).1, wanted, "{headers:?} {}", text(&answer));
    }
    let kept = put(&server, "/your-bucket/k", b"kept", &[("x-amz-meta-owner", "me"), ("content-type", "text/x")]).await;
    assert_eq!(kept.status(), 200);
    let mut changed = signed(&server, "PUT", "/your-bucket/k", b"data", &[]).await;
    *changed.body_mut() = Full::new(Bytes::from_static(b"evil"));
    assert_eq!(code(&server.send(changed).await).0, 400);
    let got = server.s3("GET", "/your-bucket/k", b"").await;
    assert_eq!(got.body().as_ref(), b"kept");
    assert_eq!(
        (&got.headers()["x-amz-meta-owner"], &got.headers()["content-type"]),
        (&"me".parse().unwrap(), &"text/x".parse().unwrap())
    );
}

#[tokio::test]
async fn chunks_with_a_trailer() {
    let server = Server::start().await;
    server.make_bucket("your-bucket", Versioning::Unversioned);
    for (crc, wanted) in [("rfPzYw==", 200), ("AAAAAA==", 400)] {
        let body = format!("4\r\ndata\r\n0\r\nx-amz-checksum-crc32:{crc}\r\n\r\n");
        let headers = [
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
            ("x-amz-decoded-content-length", "4"),
            ("content-encoding", "aws-chunked"),
        ];
        let answer = put(&server, "/your-bucket/k", body.as_bytes(), &headers).await;
        assert_eq!(answer.status(), wanted, "{}", text(&answer));
    }
    let got = server.s3("GET", "/your-bucket/k", b"").await;
    assert_eq!(got.body().as_ref(), b"data");
    assert!(!got.headers().contains_key("content-encoding"));
}

#[tokio::test]
async fn only_version_4_signatures_over_everything_come_in() {
    let server = Server::start().await;
    server.make_bucket("your-bucket", Versioning::Unversioned);
    server.put_object("/your-bucket/k", b"secret").await;
    let spoiled = |spoil: &dyn Fn(&mut Request<Full<Bytes>>)| {
        let mut request = server.request("GET", "/your-bucket/k", b"");
        sigv4::sign(&mut request, b"", &server.credentials, REGION, "s3", now()).unwrap();
        spoil(&mut request);
        server.send(request)
    };
    let header = |name: &'static str, value: &'static str| {
        move |request: &mut Request<Full<Bytes>>| {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
    };
    for (spoil, wanted) in [
        (&(|_: &mut Request<Full<Bytes>>| ()) as &dyn Fn(&mut Request<Full<Bytes>>), (200, "")),
        (&|r| drop(r.headers_mut().remove("authorization")), (403, "AccessDenied")),
        (&header("authorization", "AWS AKIA:c2lnbmF0dXJl"), (400, "InvalidRequest")),
        (&header("x-amz-acl", "private"), (403, "AccessDenied")),
        (&header("x-amz-date", "20200101T000000Z"), (403, "SignatureDoesNotMatch")),
        (&header("x-amz-security-token", "t"), (403, "AccessDenied")),
    ] {
        assert_eq!(code(&spoiled(spoil).await), (wanted.0, wanted.1.to_owned()));
    }
    for (path, wanted) in [
        ("/your-bucket/k?AWSAccessKeyId=AKIA&Signature=x&Expires=9999999999", (400, "InvalidRequest")),
        ("/your-bucket/k?X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Signature=x", (400, "InvalidRequest")),
        (
            "/your-bucket/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=x&X-Amz-Expires=604801",
            (400, "AuthorizationQueryParametersError"),
        ),
    ] {
        let answer = server.send(server.request("GET", path, b"")).await;
        assert_eq!(code(&answer), (wanted.0, wanted.1.to_owned()), "{path}");
    }
    let mut link = server.request("GET", "/your-bucket/k", b"");
    link.headers_mut().remove("content-type");
    sigv4::presign(&mut link, &server.credentials, REGION, "s3", 60, now()).unwrap();
    assert_eq!(server.send(link.clone()).await.body().as_ref(), b"secret");
    link.headers_mut().insert("x-amz-meta-a", "b".parse().unwrap());
    assert_eq!(code(&server.send(link).await), (403, "AccessDenied".into()));
}

#[tokio::test]
async fn the_bucket_may_be_in_the_host() {
    let server = Server::start().await;
    server.make_bucket("your.bucket", Versioning::Unversioned);
    server.put_object("/your.bucket/a/b", b"1").await;
    for host in ["your.bucket.localhost:4566", "your.bucket.s3.localhost", "Your.Bucket.gate.example.com"] {
        let mut request = server.request("GET", "/a/b", b"");
        request.headers_mut().insert("host", host.parse().unwrap());
        // What signs takes the host from the address.
        let (origin, uri) = (request.uri().clone(), format!("http://{host}/a/b"));
        *request.uri_mut() = uri.parse().unwrap();
        sigv4::sign(&mut request, b"", &server.credentials, REGION, "s3", now()).unwrap();
        *request.uri_mut() = origin;
        let answer = server.send(request).await;
        assert_eq!(answer.body().as_ref(), b"1", "{host}: {}", text(&answer));
    }
}

#[tokio::test]
async fn ranges_and_conditions() {
    let server = Server::start().await;
    server.make_bucket("your-bucket", Versioning::Unversioned);
    server.put_object("/your-bucket/k", b"0123456789").await;
    let etag = "\"781e5e245d69b566979b86e28d23f2c7\"";
    for (name, value, status, body) in [
        ("range", "bytes=2-4", 206, "234"),
        ("range", "bytes=-3", 206, "789"),
        ("range", "bytes=8-", 206, "89"),
        ("range", "bytes=10-", 416, "InvalidRange"),
        ("if-match", etag, 200, "0123456789"),
        ("if-match", "\"other\"", 412, "PreconditionFailed"),
        ("if-none-match", etag, 304, ""),
        ("if-none-match", "\"other\"", 200, "0123456789"),
        ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT", 304, ""),
        ("if-modified-since", "Fri, 01 Jan 2010 00:00:00 GMT", 200, "0123456789"),
        ("if-unmodified-since", "Fri, 01 Jan 2010 00:00:00 GMT", 412, "PreconditionFailed"),
    ] {
        let answer = server.send(signed(&server, "GET", "/your-bucket/k", b"", &[(name, value)]).await).await;
        assert_eq!(answer.status(), status, "{name}: {value}");
        assert!(text(&answer).contains(body), "{name}: {value}: {}", text(&answer));
    }
    let absent = [("if-none-match", "*")];
    assert_eq!(code(&put(&server, "/your-bucket/k", b"", &absent).await), (412, "PreconditionFailed".into()));
    assert_eq!(put(&server, "/your-bucket/new", b"", &absent).await.status(), 200);
}

#[tokio::test]
async fn what_is_lacking_says_so() {
    let server = Server::start().await;
    server.make_bucket("your-bucket", Versioning::Unversioned);
    assert_eq!(code(&server.s3("GET", "/your-bucket?inventory", b"").await), (501, "NotImplemented".into()));
    let large = signed(
        &server,
        "PUT",
        "/your-bucket/k",
        b"",
        &[
            ("x-amz-decoded-content-length", "99999999999"),
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
        ],
    )
    .await;
    assert_eq!(code(&server.send(large).await), (400, "EntityTooLarge".into()));
    let answer = server.s3("GET", "/your-bucket/%3Cb%3E&", b"").await;
    assert_eq!(code(&answer), (404, "NoSuchKey".into()));
    assert!(text(&answer).contains("<RequestId>") && !text(&answer).contains("<b>"), "{}", text(&answer));
}
