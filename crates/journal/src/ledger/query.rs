//! Reading the ledger. Each call sees the ledger as it was at one moment.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::{Bound, ControlFlow};

use data_encoding::HEXLOWER;
use redb::{ReadOnlyTable, ReadableDatabase, ReadableTable};
use serde::{Deserialize, Serialize};
use trust::UnixSeconds;

use super::bounds::DAY_MS;
use super::entry::{ClientChain, Entry, Id, Identity, Span, State, Stored};
use super::tables::{
    self, Book, CHAINS, CLIENTS, DOMAINS, DomainBook, ENDING, IndexKey, META, SEEN, SUBJECTS, SubjectKey, json,
};
use super::{Ledger, LedgerError};

/// Which clients, and how many at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Of this domain; else of all.
    pub domain: Option<String>,
    /// Whose names, serial number, fingerprint, address or id contain this, in whatever case.
    pub search: Option<String>,
    /// Whose last request met this.
    pub state: Option<State>,
    /// Seen at this time or later, in milliseconds since 1970-01-01T00:00:00Z.
    pub seen_since: Option<i64>,
    /// Accepted once, with a certificate that ends from the first of these on and no later than the second. They come in the order
    /// in which they end; else those come first that were seen last.
    pub ending: Option<(UnixSeconds, UnixSeconds)>,
    /// About whom a shadow truststore differs from the enforced one.
    pub shadow_differs: bool,
    /// Clients of a page: 1 to [`MAX_PAGE`](Self::MAX_PAGE).
    pub limit: usize,
    /// Where the last page ended. Who is seen again while pages are read may be missing from those that follow.
    pub token: Option<String>,
}

/// Some of the clients that a [`Query`] asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// May be none although a page follows: a page is not looked for without end.
    pub clients: Vec<Entry>,
    /// For the next page, if there may be one.
    pub token: Option<String>,
}

/// How much of what was seen the ledger can know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Completeness {
    /// Since when it is kept, in milliseconds since 1970-01-01T00:00:00Z; in JSON, RFC 3339.
    #[serde(with = "super::rfc3339::of_ms")]
    pub since: i64,
    /// Clients that were accepted once: of the domain, or of all.
    pub clients: u64,
    /// Accepted clients that found no room, or had to make it after their certificate had ended: of the domain, or of all.
    pub lost: Option<Span>,
    /// Of all domains: sightings that were lost because the disk did not keep up or failed. A client that is seen often is in
    /// the ledger all the same.
    pub dropped: Option<Span>,
    /// Of all domains: sightings of chains never accepted that were left out because there were too many.
    pub sampled_out: Option<Span>,
}

impl Query {
    /// Clients of a page at most.
    pub const MAX_PAGE: usize = 1_000;
}

/// Clients that are looked at for one page.
const EXAMINED: usize = 10_000;
/// Clients of one subject that are looked at for a renewal: those whose certificates end last.
const RENEWALS: usize = 8;

impl Ledger {
    /// The clients that `query` asks for.
    pub fn clients(&self, query: &Query) -> Result<Page, LedgerError> {
        Reader::open(self)?.page(query)
    }

    /// One client.
    pub fn client(&self, id: Id) -> Result<Option<Entry>, LedgerError> {
        let reader = Reader::open(self)?;
        reader.stored(id)?.map(|stored| Ok(reader.entry(id, stored)?.0)).transpose()
    }

    /// A chain by its digest, as [`Entry::chain`] has it in hexadecimal.
    pub fn chain(&self, digest: &[u8; 32]) -> Result<Option<ClientChain>, LedgerError> {
        Reader::open(self)?.chain(digest)
    }

    /// What a client sent.
    pub fn chain_of(&self, client: &Entry) -> Result<Option<ClientChain>, LedgerError> {
        let digest = HEXLOWER.decode(client.chain.as_bytes()).ok().and_then(|digest| digest.try_into().ok());
        digest.map_or(Ok(None), |digest| self.chain(&digest))
    }

    /// Calls `each` with every client of `domain` that was seen at `since_ms` or later, refused ones and strangers too, those first
    /// that were seen last, until it breaks.
    pub fn each_seen_since(
        &self,
        domain: &str,
        since_ms: i64,
        mut each: impl FnMut(Entry, ClientChain) -> ControlFlow<()>,
    ) -> Result<(), LedgerError> {
        let reader = Reader::open(self)?;
        reader.walk(&reader.seen, &[domain.to_owned()], None, |place, id| {
            if place > tables::newest_first(since_ms) {
                return Ok(ControlFlow::Break(()));
            }
            let Some(stored) = reader.stored(id)? else { return Ok(ControlFlow::Continue(())) };
            let (entry, chain) = reader.entry(id, stored)?;
            Ok(each(entry, chain))
        })
    }

    /// As [`each_seen_since`](Self::each_seen_since), of those that were let in at `since_ms` or later.
    pub fn each_accepted_since(
        &self,
        domain: &str,
        since_ms: i64,
        mut each: impl FnMut(Entry, ClientChain) -> ControlFlow<()>,
    ) -> Result<(), LedgerError> {
        self.each_seen_since(domain, since_ms, |entry, chain| match entry.last_accepted {
            Some(at) if at >= since_ms => each(entry, chain),
            _ => ControlFlow::Continue(()),
        })
    }

    /// Calls `each` with every client that was accepted once and whose certificate ends from `from` to `until`, the soonest first,
    /// until it breaks.
    pub fn each_ending(
        &self,
        from: UnixSeconds,
        until: UnixSeconds,
        mut each: impl FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), LedgerError> {
        let reader = Reader::open(self)?;
        let after = (tables::soonest_first(from).saturating_sub(1), Id::LAST);
        reader.walk(&reader.ending, &reader.domains()?, Some(after), |place, id| {
            if place > tables::soonest_first(until) {
                return Ok(ControlFlow::Break(()));
            }
            let Some(stored) = reader.stored(id)? else { return Ok(ControlFlow::Continue(())) };
            Ok(each(reader.entry(id, stored)?.0))
        })
    }

    /// Clients of `domain` that were accepted once and have this subject (in AWS's form), those first whose certificates end last;
    /// `limit` at most.
    pub fn find_by_subject(&self, domain: &str, subject: &str, limit: usize) -> Result<Vec<Entry>, LedgerError> {
        let reader = Reader::open(self)?;
        let mut found = Vec::new();
        for id in reader.of_subject(domain, subject, limit)? {
            if let Some(stored) = reader.stored(id)? {
                found.push(reader.entry(id, stored)?.0);
            }
        }
        Ok(found)
    }

    /// How complete it is, for one domain or for all.
    pub fn completeness(&self, domain: Option<&str>) -> Result<Completeness, LedgerError> {
        let reader = Reader::open(self)?;
        let book: Book = match reader.meta.get("ledger")? {
            Some(book) => json(book.value())?,
            None => return Err(LedgerError::Damaged("it has no beginning".to_owned())),
        };
        let mut of_domains = DomainBook::default();
        for entry in reader.domains.iter()? {
            let (name, book) = entry?;
            if domain.is_none_or(|domain| domain == name.value()) {
                let book: DomainBook = json(book.value())?;
                of_domains.accepted += book.accepted;
                super::keeper::join(&mut of_domains.lost, book.lost);
            }
        }
        Ok(Completeness {
            since: book.since_ms,
            clients: of_domains.accepted,
            lost: of_domains.lost,
            dropped: book.dropped,
            sampled_out: book.sampled_out,
        })
    }
}

/// The ledger at one moment.
struct Reader {
    clients: ReadOnlyTable<[u8; 16], &'static [u8]>,
    chains: ReadOnlyTable<[u8; 32], &'static [u8]>,
    seen: ReadOnlyTable<IndexKey<'static>, ()>,
    ending: ReadOnlyTable<IndexKey<'static>, ()>,
    subjects: ReadOnlyTable<SubjectKey<'static>, ()>,
    domains: ReadOnlyTable<&'static str, &'static [u8]>,
    meta: ReadOnlyTable<&'static str, &'static [u8]>,
}

impl Reader {
    fn open(ledger: &Ledger) -> Result<Self, LedgerError> {
        let transaction = ledger.database()?.begin_read()?;
        Ok(Self {
            clients: transaction.open_table(CLIENTS)?,
            chains: transaction.open_table(CHAINS)?,
            seen: transaction.open_table(SEEN)?,
            ending: transaction.open_table(ENDING)?,
            subjects: transaction.open_table(SUBJECTS)?,
            domains: transaction.open_table(DOMAINS)?,
            meta: transaction.open_table(META)?,
        })
    }

    fn page(&self, query: &Query) -> Result<Page, LedgerError> {
        let domains = match &query.domain {
            Some(domain) => vec![domain.clone()],
            None => self.domains()?,
        };
        let after = query.token.as_deref().map(from_token).transpose()?;
        let (table, after, last) = match query.ending {
            Some((from, until)) => {
                let first = (tables::soonest_first(from).saturating_sub(1), Id::LAST);
                (&self.ending, after.or(Some(first)), tables::soonest_first(until))
            }
            None => (&self.seen, after, query.seen_since.map_or(u64::MAX, tables::newest_first)),
        };
        let limit = query.limit.clamp(1, Query::MAX_PAGE);
        let search = query.search.as_deref().map(str::to_lowercase);
        let mut page = Page { clients: Vec::new(), token: None };
        let (mut examined, mut at) = (0, None);
        self.walk(table, &domains, after, |place, id| {
            if place > last {
                return Ok(ControlFlow::Break(()));
            }
            // There is one more, so there is a next page.
            if page.clients.len() == limit || examined == EXAMINED {
                page.token = at.map(to_token);
                return Ok(ControlFlow::Break(()));
            }
            examined += 1;
            at = Some((place, id));
            if let Some(stored) = self.stored(id)?.filter(|stored| query.concerns(stored)) {
                let (entry, _) = self.entry(id, stored)?;
                if search.as_deref().is_none_or(|text| entry.contains(text)) {
                    page.clients.push(entry);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(page)
    }

    /// Goes through an index of several domains in its order, from what comes after `after` on.
    fn walk(
        &self,
        index: &ReadOnlyTable<IndexKey<'static>, ()>,
        domains: &[String],
        after: Option<(u64, Id)>,
        mut each: impl FnMut(u64, Id) -> Result<ControlFlow<()>, LedgerError>,
    ) -> Result<(), LedgerError> {
        let mut streams = Vec::with_capacity(domains.len());
        let mut heads = BinaryHeap::new();
        for domain in domains {
            let domain = domain.as_str();
            let first = match after {
                Some((place, id)) => Bound::Excluded((domain, place, id.0)),
                None => Bound::Included((domain, 0, [0; 16])),
            };
            let last = Bound::Included((domain, u64::MAX, [0xff; 16]));
            let mut stream = index.range::<IndexKey<'_>>((first, last))?;
            if let Some(head) = stream.next() {
                let (place, id) = place_of(head?.0.value());
                heads.push(Reverse((place, id, streams.len())));
            }
            streams.push(stream);
        }
        while let Some(Reverse((place, id, number))) = heads.pop() {
            if each(place, id)?.is_break() {
                return Ok(());
            }
            if let Some(next) = streams[number].next() {
                let (place, id) = place_of(next?.0.value());
                heads.push(Reverse((place, id, number)));
            }
        }
        Ok(())
    }

    fn domains(&self) -> Result<Vec<String>, LedgerError> {
        self.domains.iter()?.map(|entry| Ok(entry?.0.value().to_owned())).collect()
    }

    fn stored(&self, id: Id) -> Result<Option<Stored>, LedgerError> {
        self.clients.get(id.0)?.map(|stored| json(stored.value())).transpose()
    }

    fn chain(&self, digest: &[u8; 32]) -> Result<Option<ClientChain>, LedgerError> {
        let Some(found) = self.chains.get(digest)? else { return Ok(None) };
        tables::chain(Some(found.value()), &HEXLOWER.encode(digest)).map(Some)
    }

    fn entry(&self, id: Id, stored: Stored) -> Result<(Entry, ClientChain), LedgerError> {
        let found = self.chains.get(tables::chain_digest(&stored)?)?;
        let chain = tables::chain(found.as_ref().map(redb::AccessGuard::value), &stored.chain)?;
        let identity = chain.identity();
        let renewed_by = match &identity {
            Some(identity) if stored.ever_accepted => self.renewed_by(id, &stored, identity)?,
            _ => None,
        };
        Ok((Entry { renewed_by, ..stored.into_entry(id, identity) }, chain))
    }

    fn renewed_by(&self, id: Id, stored: &Stored, identity: &Identity) -> Result<Option<Id>, LedgerError> {
        let domain = stored.domain.as_str();
        let subject = tables::subject_digest(&identity.subject);
        let longer =
            (domain, subject, 0, [0; 16])..(domain, subject, tables::newest_first(identity.not_after), [0; 16]);
        for entry in self.subjects.range::<SubjectKey<'_>>(longer)?.take(RENEWALS) {
            let other = Id(entry?.0.value().3);
            if let Some(newer) = self.stored(other)?.filter(|_| other != id)
                && (newer.first_ms >= stored.last_ms || newer.last_ms >= stored.last_ms.saturating_add(DAY_MS))
            {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }

    fn of_subject(&self, domain: &str, subject: &str, limit: usize) -> Result<Vec<Id>, LedgerError> {
        let subject = tables::subject_digest(subject);
        let all = (domain, subject, 0, [0; 16])..=(domain, subject, u64::MAX, [0xff; 16]);
        self.subjects.range::<SubjectKey<'_>>(all)?.take(limit).map(|entry| Ok(Id(entry?.0.value().3))).collect()
    }
}

impl Query {
    /// As far as that can be said without its chain.
    fn concerns(&self, stored: &Stored) -> bool {
        let state = if stored.refused_last { State::Refused } else { State::Accepted };
        self.state.is_none_or(|wanted| wanted == state)
            && self.seen_since.is_none_or(|since| stored.last_ms >= since)
            && (!self.shadow_differs || stored.shadow.is_some())
    }
}

impl Entry {
    /// Whether it can be found by `text`, which is lowercase.
    fn contains(&self, text: &str) -> bool {
        let contains = |value: &str| value.to_lowercase().contains(text);
        contains(&self.id.to_string())
            || contains(&self.source.to_string())
            || self.certificate.as_ref().is_some_and(|certificate| {
                contains(&certificate.subject)
                    || contains(&certificate.issuer)
                    || contains(&certificate.serial_number)
                    || contains(&certificate.fingerprint)
                    || certificate.alternative_names.iter().any(|name| contains(name))
            })
    }
}

fn place_of((_, place, id): IndexKey<'_>) -> (u64, Id) {
    (place, Id(id))
}

fn to_token((place, id): (u64, Id)) -> String {
    HEXLOWER.encode(&[&place.to_be_bytes()[..], &id.0].concat())
}

fn from_token(token: &str) -> Result<(u64, Id), LedgerError> {
    let bytes = HEXLOWER.decode(token.as_bytes()).map_err(|_| LedgerError::Token)?;
    let (place, id) = bytes.split_first_chunk::<8>().ok_or(LedgerError::Token)?;
    Ok((u64::from_be_bytes(*place), Id(id.try_into().map_err(|_| LedgerError::Token)?)))
}
