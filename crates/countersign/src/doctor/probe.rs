//! What the endpoint does, seen from outside: a bounded number of connections, each with bounds of its own. Nothing but `GET`
//! is asked for, and a connection whose handshake is all that matters asks for nothing.

mod connection;
mod hello;
#[cfg(test)]
mod tests;
mod visit;
mod wrong;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls_pki_types::ServerName;
use tokio::sync::Semaphore;
use trust::Certificate;

use super::files::Files;
use super::settings::BackDoor;
use super::target::{Address, Target};
pub(super) use connection::CertificateRequest;
use connection::{Dialer, Identity, Versions};
pub(super) use hello::Hello;
use visit::Session;
pub(super) use visit::{Ended, Handshake, Visit};

/// Connections of one run, all of them together.
pub(super) const MAX_CONNECTIONS: usize = 32;
/// Connections at a time.
const AT_A_TIME: usize = 4;
/// After this nothing more is begun; what is under way has [`connection::TIMEOUT`].
const MAX_TIME: Duration = Duration::from_secs(20);
/// A name that nobody has (RFC 6761 section 6.4).
pub(super) const FOREIGN_HOST: &str = "countersign-doctor.invalid";

/// What was seen.
pub(super) struct Live {
    /// Without a certificate.
    pub(super) anonymous: Visit,
    /// The session of that, resumed.
    pub(super) anonymous_again: Option<Visit>,
    /// The same in TLS 1.2 only, with HTTP/2 offered; the handshake is all of it.
    pub(super) tls12: Option<Visit>,
    /// In TLS 1.3 only, with HTTP/2 offered; the handshake is all of it.
    pub(super) tls13: Option<Visit>,
    /// With the certificate that was given.
    pub(super) given: Option<Visit>,
    /// With a certificate that nobody but itself has signed.
    pub(super) stranger: Option<Visit>,
    pub(super) stranger_again: Option<Visit>,
    /// With a certificate of an authority that has a trusted one's name, and another key.
    pub(super) impostor: Option<Visit>,
    /// The name that it had, as AWS prints names.
    pub(super) impostor_of: Option<String>,
    /// Without a server name, asking for the target's host; without a certificate.
    pub(super) no_name: Option<Visit>,
    /// With a server name that nobody has.
    pub(super) unknown_name: Option<Visit>,
    /// A session of one of these two, or of a neighbour, resumed under the target's name.
    pub(super) carried: Option<Visit>,
    /// Under the target's server name, asking for another host, as somebody who is let in.
    pub(super) foreign_host: Option<Visit>,
    /// APIs' own endpoints, without a certificate.
    pub(super) back_doors: Vec<(BackDoor, Visit)>,
    /// TLS 1.0 and 1.1, as far as they are accepted.
    pub(super) old_versions: Vec<Hello>,
    /// A cipher suite without forward secrecy, or broken, that is accepted.
    pub(super) weak_cipher: Option<Hello>,
    /// What the server showed, own certificate first; those that can be read.
    pub(super) server_chain: Vec<Certificate>,
    /// Certificates of it that cannot be read.
    pub(super) unreadable: usize,
    pub(super) connections: usize,
    pub(super) elapsed: Duration,
}

/// What the settings know besides the target.
#[derive(Default)]
pub(super) struct Around {
    pub(super) doors: Vec<BackDoor>,
    /// Names on the same server that ask for no certificate.
    pub(super) neighbours: Vec<String>,
}

impl Live {
    /// Looks at `target`, connecting to `address`, and at what is known to be around it.
    pub(super) async fn of(target: &Target, address: &Address, files: &Files, around: &Around) -> Self {
        let began = Instant::now();
        let dialer = Dialer::new(target, address, Arc::new(Semaphore::new(AT_A_TIME)), began + MAX_TIME);
        let mut live = Self::first(&dialer).await;
        if live.anonymous.ended.is_reachable() {
            live.look(&dialer, files, around).await;
        }
        live.connections = dialer.connections();
        live.elapsed = began.elapsed();
        live
    }

    /// Without a certificate: everything else depends on whether there is anybody.
    async fn first(dialer: &Dialer) -> Self {
        let anonymous = dialer.visit_and_listen(&Identity::none(), &dialer.target_name(), dialer.own_host()).await;
        Self {
            anonymous,
            anonymous_again: None,
            tls12: None,
            tls13: None,
            given: None,
            stranger: None,
            stranger_again: None,
            impostor: None,
            impostor_of: None,
            no_name: None,
            unknown_name: None,
            carried: None,
            foreign_host: None,
            back_doors: Vec::new(),
            old_versions: Vec::new(),
            weak_cipher: None,
            server_chain: Vec::new(),
            unreadable: 0,
            connections: 0,
            elapsed: Duration::ZERO,
        }
    }

    async fn look(&mut self, dialer: &Dialer, files: &Files, around: &Around) {
        let name = dialer.target_name();
        let host = dialer.own_host();
        let is_named = matches!(name, ServerName::DnsName(_));
        let nobody = Identity::none();
        let given = files.client.as_ref().and_then(|client| client.certified_key()).map(Identity::of);
        let stranger = wrong::stranger().map(Identity::of);
        let mut nameless = nobody.clone();
        nameless.sends_name = false;
        let unknown = ServerName::try_from(FOREIGN_HOST).expect("a name");
        let visit = async |identity: Option<&Identity>, name: &ServerName<'static>| match identity {
            Some(identity) => Some(dialer.visit(identity, name, host).await),
            None => None,
        };
        let handshake = |versions| {
            let nobody = &nobody;
            let name = &name;
            async move { Some(dialer.handshake(nobody, name, versions).await) }
        };
        (self.given, self.stranger, self.tls12, self.tls13) = tokio::join!(
            async {
                match &given {
                    Some(given) => Some(dialer.visit_and_listen(given, &name, host).await),
                    None => None,
                }
            },
            visit(stranger.as_ref(), &name),
            handshake(Versions::Tls12),
            handshake(Versions::Tls13),
        );
        let hello = |kind| dialer.hello(&name, kind);
        let (no_name, unknown_name, old10, old11, weak) = tokio::join!(
            visit(Some(&nameless).filter(|_| is_named), &name),
            visit(Some(&nobody).filter(|_| is_named), &unknown),
            hello(hello::Kind::Tls10),
            hello(hello::Kind::Tls11),
            hello(hello::Kind::WeakCiphers),
        );
        (self.no_name, self.unknown_name) = (no_name, unknown_name);
        self.old_versions = [old10, old11].into_iter().flatten().filter(|hello| hello.is_old_version()).collect();
        self.old_versions.dedup_by_key(|hello| hello.version);
        self.weak_cipher = weak.filter(Hello::is_weak_cipher);
        self.read_chain();
        self.sessions(dialer, &nobody, stranger.as_ref(), &around.neighbours).await;
        self.impostor(dialer, files).await;
        let let_in = [
            given.as_ref().filter(|_| is_served(self.given.as_ref())),
            Some(&nobody).filter(|_| self.anonymous.is_served()),
        ];
        if let Some(identity) = let_in.into_iter().flatten().next() {
            self.foreign_host = Some(dialer.visit(identity, &name, FOREIGN_HOST).await);
        }
        for door in &around.doors {
            if let Ok(name) = ServerName::try_from(door.host.clone()) {
                let visit =
                    dialer.at(door.address.clone()).visit_path(&nobody, &name, &door.authority, &door.path).await;
                self.back_doors.push((door.clone(), visit));
            }
        }
    }

    /// Sessions in which nobody was found trustworthy, resumed. Whether the session of an accepted client is judged again
    /// cannot be seen from outside while it is still to be accepted; these can.
    async fn sessions(
        &mut self,
        dialer: &Dialer,
        nobody: &Identity,
        stranger: Option<&Identity>,
        neighbours: &[String],
    ) {
        let (name, host) = (dialer.target_name(), dialer.own_host());
        if self.anonymous.is_refused() {
            self.anonymous_again = dialer.resume(nobody, &self.anonymous.session, &name, host).await;
        }
        if let (Some(stranger), Some(visit)) = (stranger, &self.stranger)
            && visit.is_refused()
        {
            self.stranger_again = dialer.resume(stranger, &visit.session, &name, host).await;
        }
        if !self.anonymous.is_refused() {
            return;
        }
        let mut begun: Vec<Arc<Session>> = Vec::new();
        for neighbour in neighbours {
            if let Ok(other) = ServerName::try_from(neighbour.clone()) {
                begun.push(dialer.visit(nobody, &other, neighbour).await.session);
            }
        }
        let others = [&self.no_name, &self.unknown_name].into_iter().flatten();
        begun.extend(others.map(|visit| visit.session.clone()));
        for session in begun {
            let slipped = self.carried.as_ref().is_some_and(|carried| carried.is_resumed() && carried.is_served());
            if !slipped && let Some(visit) = dialer.resume(nobody, &session, &name, host).await {
                self.carried = Some(visit);
            }
        }
    }

    /// The issuer of the client that was given, else the first authority that the server asks for, else the truststore's.
    async fn impostor(&mut self, dialer: &Dialer, files: &Files) {
        let asked_for = self.request().and_then(|request| request.names.first().cloned());
        let given = files.client.as_ref().and_then(|client| Some(client.leaf()?.issuer_der().to_vec()));
        let listed = files.truststore.as_ref().and_then(|file| {
            let truststore = file.compiled.as_ref().ok()?;
            Some(truststore.certificates().next()?.subject_der().to_vec())
        });
        let Some(issuer) = given.or(asked_for).or(listed) else { return };
        let Some((key, certificate)) = wrong::impostor(&issuer) else { return };
        let identity = Identity::of(key);
        self.impostor_of = Some(certificate.issuer().to_owned());
        self.impostor = Some(dialer.visit(&identity, &dialer.target_name(), dialer.own_host()).await);
    }

    fn read_chain(&mut self) {
        let shown =
            self.visits().map(|visit| &visit.chain).find(|chain| !chain.is_empty()).cloned().unwrap_or_default();
        for der in shown.iter().take(visit::MAX_CHAIN) {
            match Certificate::from_der(der) {
                Ok(certificate) => self.server_chain.push(certificate),
                Err(_) => self.unreadable += 1,
            }
        }
    }

    /// Those under the target's name.
    fn visits(&self) -> impl Iterator<Item = &Visit> {
        let others = [&self.given, &self.stranger, &self.tls12, &self.tls13];
        std::iter::once(&self.anonymous).chain(others.into_iter().flatten())
    }

    /// What the server says when it asks for a certificate, if it does.
    pub(super) fn request(&self) -> Option<&CertificateRequest> {
        self.visits().find_map(|visit| visit.request.as_ref())
    }

    /// Whether a handshake came about at all.
    pub(super) fn is_tls(&self) -> bool {
        !self.server_chain.is_empty()
    }
}

fn is_served(visit: Option<&Visit>) -> bool {
    visit.is_some_and(Visit::is_served)
}

/// A distinguished name (DER) in the certificate's own order.
pub(super) fn name_text(der: &[u8]) -> String {
    use x509_cert::der::Decode;
    match x509_cert::name::Name::from_der(der) {
        Ok(name) => name.iter_rdn().map(ToString::to_string).collect::<Vec<_>>().join(","),
        Err(_) => "a name that cannot be read".to_owned(),
    }
}
