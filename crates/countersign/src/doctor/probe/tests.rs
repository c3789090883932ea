//! A server with a fault that nothing has that can be had: it believes names, and verifies no signature.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme, client::danger::HandshakeSignatureValid};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::diagnosis::Diagnosis;
use super::super::facts::Facts;
use super::super::files::Files;
use super::*;

#[derive(Debug)]
struct BelievesNames {
    issuer: Vec<u8>,
    hints: Vec<DistinguishedName>,
}

impl ClientCertVerifier for BelievesNames {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match Certificate::from_der(leaf).is_ok_and(|leaf| leaf.issuer_der() == self.issuer) {
            true => Ok(ClientCertVerified::assertion()),
            false => Err(rustls::CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[test]
fn an_authoritys_name_is_not_its_key() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        authority.distinguished_name.push(DnType::OrganizationName, "Acme, Inc.");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let shown = authority.self_signed(&key).unwrap();
        let issuer = Certificate::from_der(shown.der()).unwrap().subject_der().to_vec();
        let verifier = BelievesNames { issuer: issuer.clone(), hints: vec![DistinguishedName::from(issuer)] };
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_client_cert_verifier(Arc::new(verifier));
        let config = config.with_single_cert(vec![shown.der().clone()], private).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        let serving = tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));

        let target = Target::parse("https://a.test/").unwrap();
        let files = Files { client: None, truststore: None, crls: Vec::new(), server_cas: None };
        let live = Live::of(&target, &address, &files, &Around::default()).await;
        serving.abort();
        assert!(live.connections <= MAX_CONNECTIONS);
        assert!(live.anonymous.is_refused() && live.stranger.as_ref().unwrap().is_refused());
        assert!(live.impostor_of.as_deref().unwrap().contains("Acme"));
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let address = address.to_string();
        let facts = Facts {
            target,
            address,
            now,
            files,
            live,
            settings: None,
            settings_error: None,
            profile: None,
            verdict: None,
        };
        assert_eq!(Diagnosis::of(&facts).causes[0].finding.id, "impostor-accepted");
    });
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                let _ = stream.shutdown().await;
            }
        });
    }
}
