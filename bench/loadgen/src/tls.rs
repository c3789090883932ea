//! Client TLS set-up and connecting.

use crate::Load;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub type Stream = TlsStream<TcpStream>;

/// Accepts any server certificate without looking at it: keeps the client cheap.
#[derive(Debug)]
struct NoVerify(Vec<SignatureScheme>);

impl ServerCertVerifier for NoVerify {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
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
        self.0.clone()
    }
}

pub struct Connector {
    tls: TlsConnector,
    load: Load,
}

impl Connector {
    pub fn new(load: &Load) -> Self {
        let groups = load
            .groups
            .iter()
            .map(|g| match g.as_str() {
                "x25519" => provider::kx_group::X25519,
                "p256" => provider::kx_group::SECP256R1,
                "p384" => provider::kx_group::SECP384R1,
                "x25519mlkem768" => provider::kx_group::X25519MLKEM768,
                other => fail(&format!("unknown group {other}")),
            })
            .collect();
        let provider = CryptoProvider { kx_groups: groups, ..provider::default_provider() };
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        let versions: &[&rustls::SupportedProtocolVersion] = match load.tls.as_str() {
            "1.2" => &[&rustls::version::TLS12],
            "1.3" => &[&rustls::version::TLS13],
            _ => rustls::ALL_VERSIONS,
        };
        let builder =
            ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(versions).expect("versions");
        let builder = match &load.ca {
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                for c in CertificateDer::pem_file_iter(ca).unwrap_or_else(|e| fail(&format!("{}: {e}", ca.display()))) {
                    roots.add(c.expect("CA certificate")).expect("CA certificate");
                }
                builder.with_root_certificates(roots)
            }
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(NoVerify(schemes))),
        };
        let mut cfg = match (&load.issued, &load.cert, &load.key) {
            (Some(issued), ..) => builder.with_client_cert_resolver(issued.clone()),
            (None, Some(c), Some(k)) => {
                let chain = CertificateDer::pem_file_iter(c)
                    .unwrap_or_else(|e| fail(&format!("{}: {e}", c.display())))
                    .map(|c| c.expect("certificate"))
                    .collect();
                let key = PrivateKeyDer::from_pem_file(k).unwrap_or_else(|e| fail(&format!("{}: {e}", k.display())));
                builder.with_client_auth_cert(chain, key).expect("client certificate")
            }
            _ => builder.with_no_client_auth(),
        };
        cfg.alpn_protocols = vec![if load.h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        cfg.resumption = if load.resume { Resumption::in_memory_sessions(4096) } else { Resumption::disabled() };
        Connector { tls: TlsConnector::from(Arc::new(cfg)), load: load.clone() }
    }

    pub fn sni(&self, i: usize) -> String {
        self.load.sni.replace("{i}", &(i % self.load.sni_count.max(1)).to_string())
    }

    /// TCP connect and TLS handshake of connection number `i`.
    pub async fn connect(&self, i: usize) -> Result<Stream, String> {
        let addr = self.load.connect[i % self.load.connect.len()];
        let tcp = TcpStream::connect(addr).await.map_err(|e| format!("connect: {e}"))?;
        tcp.set_nodelay(true).ok();
        let name = ServerName::try_from(self.sni(i)).map_err(|e| format!("sni: {e}"))?;
        self.tls.connect(name, tcp).await.map_err(|e| format!("tls: {e}"))
    }
}

pub fn fail(msg: &str) -> ! {
    eprintln!("loadgen: {msg}");
    std::process::exit(2)
}
