//! What becomes of sightings: who is taken in, who has to go.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::Database;

use super::LedgerError;
use super::bounds::{ACCEPTED_AGE_MS, Bounds, CHAINS_PER_CERTIFICATE, HOUR_MS, STRANGER_AGE_MS, Sampler, Strangers};
use super::entry::{Id, Seen, Sighting, Span, Stored};
use super::tables::{self, Book, DomainBook, Tables};

/// Clients that are forgotten in one batch because of their age.
const FORGOTTEN_AT_ONCE: usize = 1_000;
/// Clients from which on a batch is to be written.
const MAX_CLIENTS: usize = 20_000;
/// Bytes of chains from which on a batch is to be written.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of the chains of refused clients that a batch takes. Batches are at least a second apart where there are no more
/// accepted clients than that, so strangers cannot keep the disk busy.
const MAX_REFUSED_BYTES: usize = 4 * 1024 * 1024;

/// The open file with what has to be known at every batch. After an error it is of no use any more: what is in memory may be
/// ahead of what is on disk.
pub(super) struct Keeper {
    pub(super) database: Arc<Database>,
    bounds: Bounds,
    book: Book,
    domains: BTreeMap<String, DomainBook>,
    /// Accepted clients of all domains.
    accepted: u64,
    strangers: Strangers,
    sampler: Sampler,
    /// Hour in which the old were forgotten last.
    aged: Option<i64>,
}

/// What is to be written at one time. Bounded in what refused clients can put into it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) sightings: HashMap<Id, Seen>,
    /// Bytes of all chains, and of those of refused clients.
    bytes: usize,
    refused_bytes: usize,
    /// Sightings that were lost on the way.
    pub(super) dropped: Option<Span>,
    /// Sightings of strangers that were left out on the way.
    pub(super) sampled_out: Option<Span>,
}

impl Keeper {
    /// Opens the file, or makes one; tells of a damaged one that was found, and where it is now.
    pub(super) fn open(
        path: &Path,
        bounds: Bounds,
        at_ms: i64,
    ) -> Result<(Self, Option<(String, PathBuf)>), LedgerError> {
        let opened = tables::open(path, at_ms)?;
        let mut keeper = Self {
            database: Arc::new(opened.database),
            bounds,
            book: opened.book,
            domains: BTreeMap::new(),
            accepted: 0,
            strangers: Strangers::default(),
            sampler: Sampler::default(),
            aged: None,
        };
        let database = keeper.database.clone();
        tables::write(&database, |tables| keeper.load(tables))?;
        Ok((keeper, opened.moved))
    }

    /// Clients that were accepted once, and chains that never were.
    pub(super) fn counts(&self) -> (u64, usize) {
        (self.accepted, self.strangers.len())
    }

    /// Writes a batch. All of it is on disk when it returns, or nothing.
    pub(super) fn write(&mut self, batch: Batch) -> Result<(), LedgerError> {
        let database = self.database.clone();
        let (before, domains_before) = (self.book.clone(), self.domains.clone());
        tables::write(&database, |tables| {
            let Some(at_ms) = batch.time() else { return Ok(()) };
            join(&mut self.book.dropped, batch.dropped);
            join(&mut self.book.sampled_out, batch.sampled_out);
            for (id, seen) in batch.sightings {
                self.see(tables, id, &seen)?;
            }
            self.forget_the_old(tables, at_ms)?;
            if self.book != before {
                tables.set_book(&self.book)?;
            }
            for (name, book) in &self.domains {
                if domains_before.get(name) != Some(book) {
                    tables.set_domain(name, book)?;
                }
            }
            Ok(())
        })
    }

    fn load(&mut self, tables: &mut Tables<'_>) -> Result<(), LedgerError> {
        self.domains = tables.domains()?.into_iter().collect();
        self.accepted = self.domains.values().map(|book| book.accepted).sum();
        for (id, stored) in tables.strangers()? {
            let bytes = tables.chain_bytes(&stored)?;
            self.strangers.insert(&stored.domain, stored.last_ms, id, bytes);
        }
        Ok(())
    }

    fn see(&mut self, tables: &mut Tables<'_>, id: Id, seen: &Seen) -> Result<(), LedgerError> {
        match tables.client(id)? {
            Some(known) => self.see_again(tables, id, known, seen),
            None => self.take_in(tables, id, seen),
        }
    }

    fn see_again(&mut self, tables: &mut Tables<'_>, id: Id, known: Stored, seen: &Seen) -> Result<(), LedgerError> {
        let last_ms = known.last_ms;
        let mut stored = known;
        stored.update(seen);
        if !stored.ever_accepted {
            let bytes = self.strangers.remove(last_ms, id).unwrap_or_default();
            if seen.is_trusted() && self.make_room(tables, &seen.last)? {
                stored.ever_accepted = true;
                self.count_accepted(&stored.domain);
                tables.promote(id, &stored, &seen.last.chain)?;
            } else {
                self.strangers.insert(&stored.domain, stored.last_ms, id, bytes);
            }
        }
        tables.update(id, &stored, last_ms)
    }

    fn take_in(&mut self, tables: &mut Tables<'_>, id: Id, seen: &Seen) -> Result<(), LedgerError> {
        let mut stored = Stored::new(seen);
        let Sighting { chain, source, at_ms, .. } = &seen.last;
        if seen.is_trusted() {
            if !self.make_room(tables, &seen.last)? {
                return Ok(());
            }
            stored.ever_accepted = true;
            self.count_accepted(&stored.domain);
            return tables.insert(id, &stored, chain);
        }
        if !self.sampler.admits(*source, *at_ms) {
            Span::add(&mut self.book.sampled_out, 1, *at_ms);
            return Ok(());
        }
        let bytes = chain.encode().len();
        while let Some((last_ms, oldest)) = self.strangers.too_many(&self.bounds, &stored.domain, bytes) {
            self.strangers.remove(last_ms, oldest);
            self.forget(tables, oldest)?;
        }
        self.domains.entry(stored.domain.clone()).or_default();
        self.strangers.insert(&stored.domain, stored.last_ms, id, bytes);
        tables.insert(id, &stored, chain)
    }

    /// Whether there is room for another accepted client. One that comes with one chain after the other makes its own. Where all is full, those of the domain make it whose certificate
    /// has ended: they cannot be accepted again, and no change of a truststore concerns them.
    fn make_room(&mut self, tables: &mut Tables<'_>, sighting: &Sighting) -> Result<bool, LedgerError> {
        let oldest = tables.oldest_of_leaf(&sighting.domain, &sighting.chain, CHAINS_PER_CERTIFICATE)?;
        if let Some(oldest) = oldest {
            self.forget(tables, oldest)?;
            return Ok(true);
        }
        let of_domain = self.domains.entry(sighting.domain.clone()).or_default().accepted;
        if of_domain < self.bounds.accepted_per_domain && self.accepted < self.bounds.accepted {
            return Ok(true);
        }
        let ended = tables.first_ended(&sighting.domain, sighting.at_ms.div_euclid(1000))?;
        if let Some(ended) = ended {
            self.forget(tables, ended)?;
        }
        let book = self.domains.entry(sighting.domain.clone()).or_default();
        Span::add(&mut book.lost, 1, sighting.at_ms);
        Ok(ended.is_some())
    }

    fn forget_the_old(&mut self, tables: &mut Tables<'_>, at_ms: i64) -> Result<(), LedgerError> {
        let hour = at_ms.div_euclid(HOUR_MS);
        if self.aged == Some(hour) {
            return Ok(());
        }
        let mut old = self.strangers.seen_before(at_ms.saturating_sub(STRANGER_AGE_MS));
        for domain in self.domains.keys() {
            let left = FORGOTTEN_AT_ONCE.saturating_sub(old.len());
            old.extend(tables.seen_before(domain, at_ms.saturating_sub(ACCEPTED_AGE_MS), left)?);
        }
        // Where there are more, the next batch goes on.
        self.aged = (old.len() < FORGOTTEN_AT_ONCE).then_some(hour);
        for id in old {
            self.forget(tables, id)?;
        }
        Ok(())
    }

    fn forget(&mut self, tables: &mut Tables<'_>, id: Id) -> Result<(), LedgerError> {
        let Some(stored) = tables.client(id)? else { return Ok(()) };
        if stored.ever_accepted {
            self.accepted = self.accepted.saturating_sub(1);
            let book = self.domains.entry(stored.domain.clone()).or_default();
            book.accepted = book.accepted.saturating_sub(1);
        } else {
            self.strangers.remove(stored.last_ms, id);
        }
        tables.remove(id, &stored)
    }

    fn count_accepted(&mut self, domain: &str) {
        self.accepted += 1;
        self.domains.entry(domain.to_owned()).or_default().accepted += 1;
    }
}

impl Batch {
    /// Takes in a sighting.
    pub(super) fn add(&mut self, sighting: Sighting) {
        let id = Id::of(&sighting.domain, &sighting.chain.digest());
        let (at_ms, seen) = (sighting.at_ms, Seen::new(sighting));
        if let Some(known) = self.sightings.get_mut(&id) {
            return known.merge(seen);
        }
        let bytes = seen.last.chain.bytes();
        if !seen.is_trusted() {
            if self.refused_bytes + bytes > MAX_REFUSED_BYTES {
                return Span::add(&mut self.sampled_out, 1, at_ms);
            }
            self.refused_bytes += bytes;
        }
        self.bytes += bytes;
        self.sightings.insert(id, seen);
    }

    /// Whether it is to be written now.
    pub(super) fn is_full(&self) -> bool {
        self.sightings.len() >= MAX_CLIENTS || self.bytes >= MAX_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sightings.is_empty() && self.dropped.is_none() && self.sampled_out.is_none()
    }

    /// When something of it happened last.
    pub(super) fn time(&self) -> Option<i64> {
        let spans = self.dropped.iter().chain(&self.sampled_out).map(|span| span.last);
        self.sightings.values().map(|seen| seen.last.at_ms).chain(spans).max()
    }
}

/// Adds up two spans.
pub(super) fn join(span: &mut Option<Span>, other: Option<Span>) {
    if let Some(other) = other {
        Span::add(span, other.count, other.first);
        if let Some(span) = span {
            span.last = span.last.max(other.last);
        }
    }
}
