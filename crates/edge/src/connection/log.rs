//! The record of a connection: written once, when it has ended, whatever it came to.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use journal::{ConnectionRecord, End};
use model::{Revision, UnixMillis};

use super::Connection;
use crate::counters::Bound;
use crate::record;
use crate::request_id::RequestId;
use crate::runtime::Runtime;
use crate::strangers::Reason;
use crate::tls::{Failure, Session};

/// Bytes of the reason for a handshake's failure that are kept.
const MAX_REASON_BYTES: usize = 256;

/// What is known of an accepted connection. Writes its record when it is dropped.
pub(super) struct Log(Box<Known>);

struct Known {
    runtime: Rc<Runtime>,
    id: RequestId,
    peer: SocketAddr,
    local: SocketAddr,
    at: UnixMillis,
    started: Instant,
    /// What its ClientHello asks for, lowercase.
    server_name: Box<str>,
    domain: Box<str>,
    revision: Revision,
    /// Once it is known whose it is.
    connection: Option<Rc<Connection>>,
    end: End,
    reason: Box<str>,
    /// A ClientHello, or something in its place, has come.
    has_spoken: bool,
}

/// What was agreed upon in a handshake.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// `TLSv1.3`
    pub(crate) version: Option<&'static str>,
    /// IANA's name.
    pub(crate) cipher_suite: Option<&'static str>,
    key_exchange: Option<&'static str>,
    alpn: Option<&'static str>,
    pub(super) is_http2: bool,
    is_resumed: bool,
    took_us: Option<u32>,
}

impl Log {
    /// Of a connection that was just accepted.
    pub(super) fn new(runtime: &Rc<Runtime>, peer: SocketAddr, local: SocketAddr) -> Self {
        let at = runtime.config.clock.now();
        Self(Box::new(Known {
            runtime: runtime.clone(),
            id: runtime.ids.next(at),
            peer,
            local,
            at,
            started: Instant::now(),
            server_name: Box::default(),
            domain: Box::default(),
            revision: runtime.snapshot.borrow().revision,
            connection: None,
            end: End::Cut,
            reason: Box::default(),
            has_spoken: true,
        }))
    }

    pub(super) fn id(&self) -> RequestId {
        self.0.id
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.0.local
    }

    /// Its ClientHello has this name, and the settings are of this revision.
    pub(super) fn asked_for(&mut self, name: Option<&str>, revision: Revision) {
        self.0.server_name = name.unwrap_or_default().into();
        self.0.revision = revision;
    }

    /// It belongs to this domain.
    pub(super) fn is_of(&mut self, domain: &str) {
        self.0.domain = domain.into();
    }

    /// It is known whose it is.
    pub(super) fn established(&mut self, connection: &Rc<Connection>) {
        self.0.connection = Some(connection.clone());
    }

    /// How it ended.
    pub(super) fn ended(&mut self, end: End) {
        self.0.end = end;
    }

    /// Its handshake cannot be answered.
    pub(super) fn cannot_serve(&mut self, end: End, why: &str) {
        self.0.runtime.counters.met(Bound::HandshakeFailed);
        self.0.end = end;
        self.0.reason = why[..why.floor_char_boundary(MAX_REASON_BYTES)].into();
    }

    /// Its handshake failed of other things than trust.
    pub(super) fn failed(&mut self, failure: &Failure) {
        match failure {
            Failure::Tls(error) => self.cannot_serve(End::HandshakeFailed, &error.to_string()),
            _ => {
                self.0.end = End::Broken;
                self.0.has_spoken = !self.0.domain.is_empty();
            }
        }
    }
}

impl Facts {
    pub(super) fn of(session: &Session, log: &Log) -> Self {
        log.0.runtime.counters.of(&log.0.domain).count_handshake(session.is_resumed());
        Self {
            version: Some(session.version()),
            cipher_suite: session.cipher_suite(),
            key_exchange: session.key_exchange(),
            alpn: session.alpn(),
            is_http2: session.is_http2(),
            is_resumed: session.is_resumed(),
            took_us: Some(u32::try_from(log.0.started.elapsed().as_micros()).unwrap_or(u32::MAX)),
        }
    }
}

impl Known {
    /// Whether there is to be a record of it, and not only a count. Who connects and says nothing is only counted.
    fn has_record(&self) -> bool {
        match &self.connection {
            Some(connection) => connection.has_records(&self.runtime),
            None => self.has_spoken && self.runtime.strangers.admits(&self.runtime, self.peer.ip()),
        }
    }

    fn count(&self, connection: Option<&Connection>) {
        let code = connection.and_then(|connection| Some(connection.standing().1.refusal.as_ref()?.code));
        let reason = code.map_or(Reason::Ended(self.end), Reason::Refused);
        self.runtime.strangers.count_connection(&self.runtime, self.peer.ip(), reason, &self.domain);
    }

    fn write(&self, connection: Option<&Connection>) {
        let standing = connection.map(Connection::standing);
        let client = standing.as_ref().map(|(_, client, _)| client);
        let keeping = standing.as_ref().map(|(domain, _, _)| record::keeping(domain)).unwrap_or_default();
        let facts = connection.map(|connection| connection.facts).unwrap_or_default();
        let (bytes_in, bytes_out) = connection.map(|connection| connection.activity.bytes()).unwrap_or_default();
        let record = ConnectionRecord {
            time_ms: self.runtime.config.clock.now(),
            began_ms: self.at,
            id: self.id.as_str().into(),
            source: self.peer,
            local: self.local,
            server_name: (&*self.server_name).into(),
            domain: standing.as_ref().map_or(&*self.domain, |(domain, _, _)| &domain.name).into(),
            protocol: facts.version.unwrap_or_default().into(),
            cipher: facts.cipher_suite.unwrap_or_default().into(),
            key_exchange: facts.key_exchange.unwrap_or_default().into(),
            alpn: facts.alpn.unwrap_or_default().into(),
            resumed: facts.is_resumed,
            handshake_us: facts.took_us.map(u64::from),
            client: client.and_then(|client| client.chain.named()),
            validity: client.and_then(|client| Some(client.chain.identity()?.validity)),
            verdict: client.and_then(|client| Some(client.refusal.as_ref()?.code)),
            truststore: client.and_then(|client| client.truststore_named()),
            revision: standing.as_ref().map_or(self.revision, |(_, _, revision)| *revision),
            bytes_in,
            bytes_out,
            requests: connection.map_or(0, |connection| connection.activity.requests().into()),
            end: self.end,
            reason: (&*self.reason).into(),
        };
        // Held only while something is appended; if that panicked, there is nothing more to write.
        if let Ok(mut writer) = self.runtime.writer.try_borrow_mut() {
            writer.append_connection(&record, keeping);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let connection = self.0.connection.as_deref();
        if self.0.has_record() { self.0.write(connection) } else { self.0.count(connection) }
    }
}
