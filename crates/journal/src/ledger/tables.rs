//! How the ledger lies on disk: a file of redb, and what is in its tables.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{self, SHA256};
use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, Table, TableDefinition};
use serde::{Deserialize, Serialize};

use super::LedgerError;
use super::entry::{ClientChain, Id, Identity, Span, Stored};

/// A client's id to what is known of it, [`Stored`] in JSON.
pub(super) const CLIENTS: TableDefinition<'_, [u8; 16], &[u8]> = TableDefinition::new("clients");
/// A chain's digest to the chain.
pub(super) const CHAINS: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("chains");
/// A chain's digest to the number of clients that have it: one in each domain.
pub(super) const USES: TableDefinition<'_, [u8; 32], u32> = TableDefinition::new("uses");
/// Clients of a domain, those first that were seen last.
pub(super) const SEEN: TableDefinition<'_, IndexKey<'_>, ()> = TableDefinition::new("seen");
/// Clients of a domain that were accepted once, those first whose certificate ends first.
pub(super) const ENDING: TableDefinition<'_, IndexKey<'_>, ()> = TableDefinition::new("ending");
/// Clients of a domain that were accepted once, by their subject; of one subject those first whose certificate ends last.
pub(super) const SUBJECTS: TableDefinition<'_, SubjectKey<'_>, ()> = TableDefinition::new("subjects");
/// Clients of a domain that were accepted once, by their leaf.
pub(super) const LEAVES: TableDefinition<'_, LeafKey<'_>, ()> = TableDefinition::new("leaves");
/// Clients that were never accepted.
pub(super) const STRANGERS: TableDefinition<'_, [u8; 16], ()> = TableDefinition::new("strangers");
/// A domain's name to [`DomainBook`] in JSON.
pub(super) const DOMAINS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("domains");
/// `ledger` to [`Book`] in JSON.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// Domain, place in the order, client.
pub(super) type IndexKey<'a> = (&'a str, u64, [u8; 16]);
/// Domain, digest of the subject, place in the order, client.
pub(super) type SubjectKey<'a> = (&'a str, [u8; 16], u64, [u8; 16]);

/// Domain, first half of the leaf's SHA-256, client.
pub(super) type LeafKey<'a> = (&'a str, [u8; 16], [u8; 16]);

/// What is known of the whole ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Book {
    pub format: u32,
    /// Since when there is this ledger.
    pub since_ms: i64,
    /// Sightings that were lost, because the disk did not keep up or failed.
    #[serde(default)]
    pub dropped: Option<Span>,
    /// Sightings of strangers that were left out.
    #[serde(default)]
    pub sampled_out: Option<Span>,
}

/// What is known of a domain's part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DomainBook {
    /// Clients that were accepted once.
    pub accepted: u64,
    /// Accepted clients that found no room, or had to make it after their certificate had ended.
    #[serde(default)]
    pub lost: Option<Span>,
}

const FORMAT: u32 = 1;
const CACHE_BYTES: usize = 32 * 1024 * 1024;
/// A file up to this size is read and checked when it is opened.
const CHECKED_BYTES: u64 = 64 * 1024 * 1024;

/// An opened file.
pub(super) struct Opened {
    pub database: Database,
    pub book: Book,
    /// The damaged file that was found, if so, and where it is now.
    pub moved: Option<(String, PathBuf)>,
}

/// Opens the file, or makes it where there is none; one that is damaged is moved aside first.
pub(super) fn open(path: &Path, at_ms: i64) -> Result<Opened, LedgerError> {
    match open_as_it_is(path, at_ms) {
        Ok((database, book)) => Ok(Opened { database, book, moved: None }),
        Err(LedgerError::Damaged(why)) => {
            let aside = move_aside(path, at_ms).map_err(|error| unusable(path, &error))?;
            let (database, book) = open_as_it_is(path, at_ms)?;
            Ok(Opened { database, book, moved: Some((why, aside)) })
        }
        Err(error) => Err(error),
    }
}

fn open_as_it_is(path: &Path, at_ms: i64) -> Result<(Database, Book), LedgerError> {
    let owned = path.to_owned();
    // redb may panic on a damaged file; on a thread of its own that is an answer like any other.
    let opened = std::thread::Builder::new().name("ledger-open".into()).spawn(move || -> Result<_, LedgerError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&owned).map_err(|error| unusable(&owned, &error))?;
        let length = file.metadata().map_err(|error| unusable(&owned, &error))?.len();
        let backend = FileBackend::new(file).map_err(|error| opening(&owned, error))?;
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(length > 0 && length <= CHECKED_BYTES);
        let database = builder.create_with_backend(backend).map_err(|error| opening(&owned, error))?;
        let book = prepare(&database, at_ms)?;
        Ok((database, book))
    });
    let opened = opened.map_err(|error| unusable(path, &error))?.join();
    opened.unwrap_or_else(|_| Err(LedgerError::Damaged("its structure is broken".to_owned())))
}

/// Makes the tables that are not there yet, so that every reader finds them.
fn prepare(database: &Database, at_ms: i64) -> Result<Book, LedgerError> {
    if let Ok(meta) = database.begin_read().map_err(redb::Error::from)?.open_table(META)
        && let Some(book) = meta.get("ledger").map_err(redb::Error::from)?
    {
        let book: Book = json(book.value())?;
        return match book.format {
            FORMAT => Ok(book),
            other => Err(LedgerError::Damaged(format!("it has format {other}, and this version reads {FORMAT}"))),
        };
    }
    let book = Book { format: FORMAT, since_ms: at_ms, dropped: None, sampled_out: None };
    write(database, |tables| tables.set_book(&book))?;
    Ok(book)
}

/// Gives a damaged file another name.
pub(super) fn move_aside(path: &Path, at_ms: i64) -> io::Result<PathBuf> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".damaged-{at_ms}"));
    let aside = PathBuf::from(aside);
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// The tables in a transaction that writes.
pub(super) struct Tables<'t> {
    clients: Table<'t, [u8; 16], &'static [u8]>,
    chains: Table<'t, [u8; 32], &'static [u8]>,
    uses: Table<'t, [u8; 32], u32>,
    seen: Table<'t, IndexKey<'static>, ()>,
    ending: Table<'t, IndexKey<'static>, ()>,
    subjects: Table<'t, SubjectKey<'static>, ()>,
    leaves: Table<'t, LeafKey<'static>, ()>,
    strangers: Table<'t, [u8; 16], ()>,
    domains: Table<'t, &'static str, &'static [u8]>,
    meta: Table<'t, &'static str, &'static [u8]>,
}

/// Commits what `change` does to the tables, or nothing of it.
pub(super) fn write<T>(
    database: &Database,
    change: impl FnOnce(&mut Tables<'_>) -> Result<T, LedgerError>,
) -> Result<T, LedgerError> {
    let mut transaction = database.begin_write().map_err(redb::Error::from)?;
    // After a crash a large file is open at once, without being read whole.
    transaction.set_quick_repair(true);
    let result = {
        let transaction = &transaction;
        let open = || -> Result<Tables<'_>, redb::Error> {
            Ok(Tables {
                clients: transaction.open_table(CLIENTS)?,
                chains: transaction.open_table(CHAINS)?,
                uses: transaction.open_table(USES)?,
                seen: transaction.open_table(SEEN)?,
                ending: transaction.open_table(ENDING)?,
                subjects: transaction.open_table(SUBJECTS)?,
                leaves: transaction.open_table(LEAVES)?,
                strangers: transaction.open_table(STRANGERS)?,
                domains: transaction.open_table(DOMAINS)?,
                meta: transaction.open_table(META)?,
            })
        };
        change(&mut open()?)?
    };
    transaction.commit().map_err(redb::Error::from)?;
    Ok(result)
}

impl Tables<'_> {
    pub(super) fn client(&self, id: Id) -> Result<Option<Stored>, LedgerError> {
        self.clients.get(id.0)?.map(|stored| json(stored.value())).transpose()
    }

    pub(super) fn chain(&self, stored: &Stored) -> Result<ClientChain, LedgerError> {
        chain(self.chains.get(chain_digest(stored)?)?.as_ref().map(redb::AccessGuard::value), &stored.chain)
    }

    /// Bytes of the chain, as it is stored.
    pub(super) fn chain_bytes(&self, stored: &Stored) -> Result<usize, LedgerError> {
        Ok(self.chains.get(chain_digest(stored)?)?.map_or(0, |chain| chain.value().len()))
    }

    /// Takes in a client that is not there, with its chain.
    pub(super) fn insert(&mut self, id: Id, stored: &Stored, chain: &ClientChain) -> Result<(), LedgerError> {
        let uses = self.uses.get(chain.digest())?.map_or(0, |uses| uses.value());
        if uses == 0 {
            self.chains.insert(chain.digest(), chain.encode().as_slice())?;
        }
        self.uses.insert(chain.digest(), uses.saturating_add(1))?;
        self.seen.insert((stored.domain.as_str(), newest_first(stored.last_ms), id.0), ())?;
        self.put(id, stored)?;
        if stored.ever_accepted {
            return self.index(id, stored, chain);
        }
        self.strangers.insert(id.0, ())?;
        Ok(())
    }

    /// Replaces what is known of a client; it was last seen at `last_ms` until now.
    pub(super) fn update(&mut self, id: Id, stored: &Stored, last_ms: i64) -> Result<(), LedgerError> {
        if stored.last_ms != last_ms {
            self.seen.remove((stored.domain.as_str(), newest_first(last_ms), id.0))?;
            self.seen.insert((stored.domain.as_str(), newest_first(stored.last_ms), id.0), ())?;
        }
        self.put(id, stored)
    }

    /// A client that was never accepted until now is.
    pub(super) fn promote(&mut self, id: Id, stored: &Stored, chain: &ClientChain) -> Result<(), LedgerError> {
        self.strangers.remove(id.0)?;
        self.index(id, stored, chain)
    }

    /// By its certificate, its end and its subject, as those are that were accepted once.
    fn index(&mut self, id: Id, stored: &Stored, chain: &ClientChain) -> Result<(), LedgerError> {
        self.leaves.insert((stored.domain.as_str(), leaf_digest(chain), id.0), ())?;
        if let Some(identity) = chain.identity() {
            self.ending.insert((stored.domain.as_str(), soonest_first(identity.not_after), id.0), ())?;
            self.subjects.insert(subject_key(&stored.domain, &identity, id), ())?;
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, id: Id, stored: &Stored) -> Result<(), LedgerError> {
        if stored.ever_accepted {
            let chain = self.chain(stored)?;
            self.leaves.remove((stored.domain.as_str(), leaf_digest(&chain), id.0))?;
            if let Some(identity) = chain.identity() {
                self.ending.remove((stored.domain.as_str(), soonest_first(identity.not_after), id.0))?;
                self.subjects.remove(subject_key(&stored.domain, &identity, id))?;
            }
        }
        self.seen.remove((stored.domain.as_str(), newest_first(stored.last_ms), id.0))?;
        self.strangers.remove(id.0)?;
        self.clients.remove(id.0)?;
        let digest = chain_digest(stored)?;
        let uses = self.uses.get(digest)?.map_or(0, |uses| uses.value());
        match uses {
            0 | 1 => {
                self.uses.remove(digest)?;
                self.chains.remove(digest)?;
            }
            uses => drop(self.uses.insert(digest, uses - 1)?),
        }
        Ok(())
    }

    /// The client that was accepted once and whose certificate ended first, if that was before `at` (Unix seconds).
    pub(super) fn first_ended(&self, domain: &str, at: i64) -> Result<Option<Id>, LedgerError> {
        let first = self.ending.range((domain, 0, [0; 16])..(domain, soonest_first(at), [0; 16]))?.next();
        Ok(first.transpose()?.map(|(key, _)| Id(key.value().2)))
    }

    /// Of the clients of `domain` that were accepted once with the leaf of `chain`, the one that was not seen for longest, if
    /// there are `limit`.
    pub(super) fn oldest_of_leaf(
        &self,
        domain: &str,
        chain: &ClientChain,
        limit: usize,
    ) -> Result<Option<Id>, LedgerError> {
        let leaf = leaf_digest(chain);
        let all = (domain, leaf, [0; 16])..=(domain, leaf, [0xff; 16]);
        let mut known = Vec::new();
        for entry in self.leaves.range(all)?.take(limit) {
            let id = Id(entry?.0.value().2);
            known.extend(self.client(id)?.map(|stored| (stored.last_ms, id)));
        }
        let is_full = known.len() == limit;
        Ok(known.into_iter().min().filter(|_| is_full).map(|(_, id)| id))
    }

    /// Clients of a domain that were last seen before `before_ms`, `limit` at most.
    pub(super) fn seen_before(&self, domain: &str, before_ms: i64, limit: usize) -> Result<Vec<Id>, LedgerError> {
        let oldest = (domain, newest_first(before_ms).saturating_add(1), [0; 16])..=(domain, u64::MAX, [0xff; 16]);
        let keys = self.seen.range(oldest)?.rev().take(limit);
        keys.map(|entry| Ok(Id(entry?.0.value().2))).collect()
    }

    /// Every client that was never accepted.
    pub(super) fn strangers(&self) -> Result<Vec<(Id, Stored)>, LedgerError> {
        let mut strangers = Vec::new();
        for entry in self.strangers.iter()? {
            let id = Id(entry?.0.value());
            strangers.extend(self.client(id)?.map(|stored| (id, stored)));
        }
        Ok(strangers)
    }

    pub(super) fn domains(&self) -> Result<Vec<(String, DomainBook)>, LedgerError> {
        let mut domains = Vec::new();
        for entry in self.domains.iter()? {
            let (name, book) = entry?;
            domains.push((name.value().to_owned(), json(book.value())?));
        }
        Ok(domains)
    }

    pub(super) fn set_domain(&mut self, name: &str, book: &DomainBook) -> Result<(), LedgerError> {
        self.domains.insert(name, to_json(book).as_slice())?;
        Ok(())
    }

    pub(super) fn set_book(&mut self, book: &Book) -> Result<(), LedgerError> {
        self.meta.insert("ledger", to_json(book).as_slice())?;
        Ok(())
    }

    fn put(&mut self, id: Id, stored: &Stored) -> Result<(), LedgerError> {
        self.clients.insert(id.0, to_json(stored).as_slice())?;
        Ok(())
    }
}

/// A stored chain, if it is there and is what its digest (hexadecimal) says.
pub(super) fn chain(found: Option<&[u8]>, digest: &str) -> Result<ClientChain, LedgerError> {
    let chain = found.and_then(ClientChain::decode).filter(|chain| chain.digest_hex() == digest);
    chain.ok_or_else(|| LedgerError::Damaged(format!("the chain {digest} is not whole")))
}

pub(super) fn chain_digest(stored: &Stored) -> Result<[u8; 32], LedgerError> {
    let digest = data_encoding::HEXLOWER.decode(stored.chain.as_bytes()).ok().and_then(|digest| digest.try_into().ok());
    digest.ok_or_else(|| LedgerError::Damaged("a client's chain has no digest".to_owned()))
}

/// The place of a time in an order that has later ones first.
pub(super) fn newest_first(ms: i64) -> u64 {
    !soonest_first(ms)
}

/// The place of a time in the order of time.
pub(super) fn soonest_first(time: i64) -> u64 {
    (time as u64) ^ (1 << 63)
}

fn subject_key<'a>(domain: &'a str, identity: &Identity, id: Id) -> SubjectKey<'a> {
    (domain, subject_digest(&identity.subject), newest_first(identity.not_after), id.0)
}

/// The first half of SHA-256 of a subject in AWS's form.
pub(super) fn subject_digest(subject: &str) -> [u8; 16] {
    half_digest(subject.as_bytes())
}

fn leaf_digest(chain: &ClientChain) -> [u8; 16] {
    half_digest(chain.certificates().next().unwrap_or_default())
}

fn half_digest(bytes: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest::digest(&SHA256, bytes).as_ref()[..16]);
    half
}

pub(super) fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, LedgerError> {
    serde_json::from_slice(bytes).map_err(|error| LedgerError::Damaged(error.to_string()))
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data with string keys")
}

fn opening(path: &Path, error: DatabaseError) -> LedgerError {
    match error {
        // redb tells a file that is no database, or too short, by such an input error.
        DatabaseError::Storage(StorageError::Io(error))
            if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            LedgerError::Damaged(error.to_string())
        }
        DatabaseError::Storage(StorageError::Io(error)) => unusable(path, &error),
        DatabaseError::DatabaseAlreadyOpen => {
            LedgerError::Unavailable(format!("another process has {} open", path.display()))
        }
        error => LedgerError::Damaged(error.to_string()),
    }
}

fn unusable(path: &Path, error: &io::Error) -> LedgerError {
    LedgerError::Unavailable(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_keep_the_order_of_time() {
        let times = [i64::MIN, -5, -1, 0, 1, 1_700_000_000_000, i64::MAX];
        assert!(times.map(soonest_first).is_sorted());
        assert!(times.map(newest_first).iter().rev().is_sorted());
    }
}
