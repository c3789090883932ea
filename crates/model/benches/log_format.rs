//! What it costs to write one line of an access log with the client certificate's fields: the certificate's part is fixed once
//! for a chain, the rest is written for each request.
//!
//! `cargo bench -p model --bench log_format`

use divan::Bencher;
use model::template::{Context, Template, Value, Variable};
use trust::{Certificate, ClientCert};

const JSON: &str = concat!(
    r#"{"requestId":"$context.requestId","time":"$context.requestTime","ip":"$context.identity.sourceIp","#,
    r#""method":"$context.httpMethod","path":"$context.path","status":"$context.status","bytes":"$context.responseLength","#,
    r#""subject":"$context.identity.clientCert.subjectDN","issuer":"$context.identity.clientCert.issuerDN","#,
    r#""serial":"$context.identity.clientCert.serialNumber","until":"$context.identity.clientCert.validity.notAfter","#,
    r#""error":"$context.error.message"}"#,
);
const PLAIN: &str = "$context.identity.sourceIp [$context.requestTime] \"$context.httpMethod $context.path\" $context.status \
     $context.identity.clientCert.subjectDN $context.requestId";

fn main() {
    divan::main();
}

/// As the edge answers: texts that are there already, numbers that are written.
struct Request;

impl Context for Request {
    fn value(&self, variable: &Variable, out: &mut Value<'_>) {
        match variable {
            Variable::Status => out.push_number(200),
            Variable::ResponseLength => out.push_number(1024),
            Variable::Path => out.push_str("/orders/2026/17"),
            Variable::HttpMethod => out.push_str("GET"),
            Variable::RequestId => out.push_str("JKJaXmPLvHcESHA="),
            Variable::RequestTime => out.push_str("22/Nov/2026:09:00:00 +0000"),
            Variable::IdentitySourceIp => out.push_str("203.0.113.7"),
            _ => {}
        }
    }
}

fn certificate() -> ClientCert {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
    Certificate::from_der(certificate.der()).expect("rcgen makes certificates").client_cert()
}

#[divan::bench(args = [JSON, PLAIN])]
fn line(bencher: Bencher, format: &str) {
    let line = Template::parse(format).expect("a format").bind(Some(&certificate()));
    let mut out = String::with_capacity(4096);
    bencher.bench_local(|| {
        out.clear();
        line.render(&Request, &mut out);
        out.len()
    });
}

#[divan::bench]
fn bind(bencher: Bencher) {
    let (template, certificate) = (Template::parse(JSON).expect("a format"), certificate());
    bencher.bench(|| template.bind(Some(&certificate)));
}

#[divan::bench]
fn parse(bencher: Bencher) {
    bencher.bench(|| Template::parse(JSON));
}
