//! Which clients are seen, and how often. A request costs a few stores to memory; a few times a second the ledger is told.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use journal::ledger::{Ledger, ShadowSighting, Sighting};
use model::UnixMillis;
use model::snapshot::Domain;
use trust::Code;

use crate::verdicts::Client;

/// Refused clients that a runtime tells of at one time; of more it tells only how many there were.
const REFUSED_AT_ONCE: usize = 256;

/// The clients that one runtime has seen since it told the ledger last.
pub(crate) struct Sightings {
    ledger: Ledger,
    seen: RefCell<Vec<(Rc<Client>, Arc<Domain>)>>,
    /// How many of them are refused.
    refused: Cell<usize>,
    /// Sightings of refused clients that came on top.
    left_out: Cell<u64>,
}

/// What became of a client this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encounter {
    /// It was accepted, and has not asked for anything yet.
    Handshake,
    /// A request was let in.
    Request,
    /// A request, or the connection, was refused.
    Refusal,
}

/// Of one client, since the ledger was told last.
#[derive(Debug)]
pub(crate) struct Tally {
    is_noted: Cell<bool>,
    accepted: Cell<u64>,
    refused: Cell<u64>,
    source: Cell<IpAddr>,
    shadow: RefCell<Option<ShadowSighting>>,
}

impl Sightings {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self { ledger, seen: RefCell::default(), refused: Cell::default(), left_out: Cell::default() }
    }

    /// `client` came to `domain` from `peer`.
    pub(crate) fn count(&self, client: &Rc<Client>, domain: &Arc<Domain>, peer: SocketAddr, encounter: Encounter) {
        let tally = &client.tally;
        if !tally.is_noted.get() && !self.note(client, domain) {
            return;
        }
        tally.source.set(peer.ip());
        match encounter {
            Encounter::Handshake => return,
            Encounter::Request => tally.accepted.set(tally.accepted.get() + 1),
            Encounter::Refusal => tally.refused.set(tally.refused.get() + 1),
        }
        if let Some(difference) = &client.shadow {
            tally.differs(&difference.truststore, difference.refusal.as_ref().map(|(code, _)| *code));
        }
    }

    /// Whether there is something to be told of the client, and room for it.
    fn note(&self, client: &Rc<Client>, domain: &Arc<Domain>) -> bool {
        if client.trust.is_none() || !client.chain.can_be_kept() {
            return false;
        }
        if client.refusal.is_some() {
            if self.refused.get() == REFUSED_AT_ONCE {
                self.left_out.set(self.left_out.get() + 1);
                return false;
            }
            self.refused.set(self.refused.get() + 1);
        }
        client.tally.is_noted.set(true);
        self.seen.borrow_mut().push((client.clone(), domain.clone()));
        true
    }

    /// Tells the ledger. Who was seen since the last time is taken for seen now: it is a part of a second ago.
    pub(crate) fn flush(&self, now: UnixMillis) {
        let left_out = self.left_out.take();
        if left_out > 0 {
            self.ledger.left_out(left_out, now);
        }
        if self.seen.borrow().is_empty() {
            return;
        }
        let seen = self.seen.take();
        self.refused.set(0);
        self.ledger.record(seen.iter().map(|(client, domain)| client.tally.take(client, domain, now)));
    }
}

impl Tally {
    /// The shadow truststore, of this digest (hexadecimal), comes to another verdict about a request; `None`: it accepts.
    fn differs(&self, truststore: &str, refusal: Option<Code>) {
        let mut shadow = self.shadow.borrow_mut();
        match shadow.as_mut().filter(|shadow| shadow.truststore == truststore) {
            Some(known) => {
                known.differences += 1;
                known.refusal = refusal;
            }
            None => *shadow = Some(ShadowSighting { truststore: truststore.to_owned(), differences: 1, refusal }),
        }
    }

    fn take(&self, client: &Client, domain: &Domain, now: UnixMillis) -> Sighting {
        self.is_noted.set(false);
        Sighting {
            domain: domain.name.clone(),
            chain: client.chain.sent().clone(),
            at_ms: now,
            source: self.source.get(),
            refusal: client.refusal.as_ref().map(|refusal| refusal.code),
            accepted: self.accepted.take(),
            refused: self.refused.take(),
            shadow: self.shadow.take(),
        }
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            is_noted: Cell::default(),
            accepted: Cell::default(),
            refused: Cell::default(),
            source: Cell::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            shadow: RefCell::default(),
        }
    }
}
