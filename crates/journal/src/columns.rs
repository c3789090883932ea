//! Lines that are alike, taken apart into columns: how sealed segments are small.
//!
//! A line is words with delimiters between them. The delimiters are its *template*, of which there are few; the words at one
//! place of a template are a *column*. What a column holds over a whole segment decides how it is written: not at all where it
//! is always the same, or always what another column is; as numbers of entries in a list, as differences of numbers, as bytes
//! of what base64 or hexadecimal digits say, else as it is. Lists are in the *header* of a segment, once; all else is in *blocks* of
//! some rows each, which are compressed and can be read by themselves. Every line comes back byte for byte.

mod coding;
mod reading;
mod wire;

use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use coding::Coding;
pub(crate) use reading::{Header, Lines};
use wire::Output;

/// Stands for a word in a template. JSON has no such byte; lines that do are one word.
const WORD: u8 = 1;
/// Templates of a segment. Lines that would be of more are one word each.
const MAX_TEMPLATES: usize = 1024;
/// Words of a line that is taken apart.
const MAX_WORDS: usize = 512;
/// Bytes of a line that is taken apart.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// Of the template that is one word.
const WHOLE: usize = 0;

/// Takes lines apart.
pub(crate) struct Table {
    /// Of each line its template.
    rows: Vec<u16>,
    templates: Interner,
    columns: Vec<Vec<Column>>,
    hasher: RandomState,
    /// Of the line at hand.
    template: Vec<u8>,
    words: Vec<Range<usize>>,
}

/// The words at one place.
#[derive(Default)]
struct Column {
    /// Of each row of the template, which of the values. Values are numbered as they come, so that columns of which one says
    /// what the other is have the same numbers.
    ids: Vec<u32>,
    values: Interner,
}

/// Numbers different byte strings.
#[derive(Default)]
struct Interner {
    values: Vec<Box<[u8]>>,
    known: HashTable<u32>,
}

/// Lines in columns, ready to be written in pieces.
pub(crate) struct Coded {
    table: Table,
    codings: Vec<Vec<Coding>>,
    /// Of each template, rows that are written already.
    written: Vec<usize>,
    row: usize,
}

impl Table {
    pub(crate) fn new() -> Self {
        let hasher = RandomState::default();
        let mut templates = Interner::default();
        templates.number(&[WORD], &hasher);
        let columns = vec![vec![Column::default()]];
        Self { rows: Vec::new(), templates, columns, hasher, template: Vec::new(), words: Vec::new() }
    }

    /// Adds a line, which has no line feed.
    pub(crate) fn push(&mut self, line: &[u8]) {
        let template = if self.take_apart(line) { self.known_template() } else { None };
        let template = template.unwrap_or_else(|| {
            self.words.clear();
            self.words.push(0..line.len());
            WHOLE
        });
        self.rows.push(template as u16);
        for (column, word) in self.columns[template].iter_mut().zip(&self.words) {
            column.push(&line[word.clone()], &self.hasher);
        }
    }

    /// `false`: it is better taken whole.
    fn take_apart(&mut self, line: &[u8]) -> bool {
        self.template.clear();
        self.words.clear();
        if line.len() > MAX_LINE_BYTES {
            return false;
        }
        let mut at = 0;
        while at < line.len() {
            let length = line[at..].iter().position(|&byte| !IS_OF_WORD[usize::from(byte)]).unwrap_or(line.len() - at);
            if length == 0 {
                if line[at] == WORD {
                    return false;
                }
                self.template.push(line[at]);
                at += 1;
                continue;
            }
            self.template.push(WORD);
            self.words.push(at..at + length);
            at += length;
        }
        self.words.len() <= MAX_WORDS
    }

    fn known_template(&mut self) -> Option<usize> {
        let before = self.columns.len();
        if before == MAX_TEMPLATES {
            return self.templates.find(&self.template, &self.hasher).map(|number| number as usize);
        }
        let number = self.templates.number(&self.template, &self.hasher) as usize;
        if number == before {
            self.columns.push(self.words.iter().map(|_| Column::default()).collect());
        }
        Some(number)
    }

    /// All lines are there.
    pub(crate) fn code(self) -> Coded {
        let codings = self.columns.iter().map(|columns| Coding::of_template(columns)).collect();
        let written = vec![0; self.columns.len()];
        Coded { table: self, codings, written, row: 0 }
    }
}

impl Column {
    fn push(&mut self, word: &[u8], hasher: &RandomState) {
        let last = self.ids.last().copied().filter(|&id| *self.values.values[id as usize] == *word);
        let id = last.unwrap_or_else(|| self.values.number(word, hasher));
        self.ids.push(id);
    }

    /// What it holds in these rows.
    fn words(&self, rows: Range<usize>) -> impl Iterator<Item = &[u8]> {
        self.ids[rows].iter().map(|&id| &*self.values.values[id as usize])
    }
}

impl Interner {
    fn find(&self, value: &[u8], hasher: &RandomState) -> Option<u32> {
        self.known.find(hasher.hash_one(value), |&id| *self.values[id as usize] == *value).copied()
    }

    fn number(&mut self, value: &[u8], hasher: &RandomState) -> u32 {
        if let Some(id) = self.find(value, hasher) {
            return id;
        }
        let id = self.values.len() as u32;
        self.values.push(value.into());
        let values = &self.values;
        self.known.insert_unique(hasher.hash_one(value), id, |&id| hasher.hash_one(&*values[id as usize]));
        id
    }
}

impl Coded {
    /// What has to be known of all blocks in order to read one.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut out = Output::default();
        out.number(self.codings.len() as u64);
        for (template, (codings, columns)) in self.codings.iter().zip(&self.table.columns).enumerate() {
            out.bytes(&self.table.templates.values[template]);
            for (coding, column) in codings.iter().zip(columns) {
                coding.write(column, &mut out);
            }
        }
        out.finish()
    }

    /// The next so many lines.
    pub(crate) fn block(&mut self, lines: usize) -> Vec<u8> {
        let rows = &self.table.rows[self.row..self.row + lines];
        let mut out = Output::default();
        out.number(lines as u64);
        out.planes(rows.iter().map(|&template| u32::from(template)), wire::width(self.codings.len()));
        let mut counts = vec![0; self.codings.len()];
        rows.iter().for_each(|&template| counts[usize::from(template)] += 1);
        self.row += lines;
        for (template, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            let begin = self.written[template];
            self.written[template] += count;
            for (coding, column) in self.codings[template].iter().zip(&self.table.columns[template]) {
                coding.write_rows(column, begin..begin + count, &mut out);
            }
        }
        out.finish()
    }
}

/// What words are made of. All else stands between them.
static IS_OF_WORD: [bool; 256] = {
    let mut is = [true; 256];
    let delimiters = b"\"\\,: {}[]();&?<>'";
    let mut at = 0;
    while at < delimiters.len() {
        is[delimiters[at] as usize] = false;
        at += 1;
    }
    let mut control = 0;
    while control < 0x20 {
        is[control] = false;
        control += 1;
    }
    is
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(lines: &[Vec<u8>], block: usize) {
        let mut table = Table::new();
        lines.iter().for_each(|line| table.push(line));
        let mut coded = table.code();
        let header = Header::read(&coded.header()).unwrap();
        for lines in lines.chunks(block) {
            let back = header.lines(&coded.block(lines.len())).unwrap();
            assert_eq!(back.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), lines);
        }
    }

    fn bytes(lines: &[&str]) -> Vec<Vec<u8>> {
        lines.iter().map(|line| line.as_bytes().to_vec()).collect()
    }

    #[test]
    fn lines_come_back() {
        round_trip(&bytes(&[""]), 1);
        round_trip(&bytes(&["", "a", "a b", "a  b", "\u{1}", "a\u{1}b", "é\u{7f}"]), 2);
        let many: Vec<_> = (0..2000_u64)
            .map(|n| {
                let id = data_encoding::BASE64
                    .encode(&(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes().repeat(2)[..11]);
                format!(
                    "{{\"time\":{},\"id\":\"{id}\",\"same\":\"{id}\",\"port\":{},\"big\":{},\"zero\":0{n}}}",
                    1_800_000 + n / 3,
                    n % 700,
                    u64::MAX - n
                )
            })
            .map(String::into_bytes)
            .collect();
        round_trip(&many, 300);
    }

    proptest! {
        #[test]
        fn any_lines_come_back(lines in prop::collection::vec("(\\{\"(a|b)\":[0-9]{1,22}(,\"[a-f0-9]{16}\")?\\}|[ -~\u{0}-\u{9}é]{0,20})", 1..60), block in 1_usize..70) {
            round_trip(&lines.into_iter().map(String::into_bytes).collect::<Vec<_>>(), block);
        }

        #[test]
        fn nonsense_is_refused(header in prop::collection::vec(any::<u8>(), 0..60), block in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Header::read(&header);
            let mut table = Table::new();
            for n in 0..40 {
                table.push(format!("a {n} {}", n % 3).as_bytes());
            }
            let mut coded = table.code();
            let good = coded.header();
            let known = Header::read(&good).unwrap();
            let _ = known.lines(&block);
            let mut changed = coded.block(40);
            for (at, byte) in block.iter().enumerate() {
                let at = at * 7 % changed.len();
                changed[at] ^= byte;
            }
            let _ = known.lines(&changed);
            let mut changed = good;
            for (at, byte) in header.iter().enumerate() {
                let at = at * 5 % changed.len();
                changed[at] ^= byte;
            }
            if let Some(odd) = Header::read(&changed) {
                let _ = odd.lines(&block);
            }
        }
    }
}
#[cfg(test)]
mod measure {
    use super::*;
    #[test]
    #[ignore]
    fn size() {
        let mut seed = 1_u64;
        let mut rand = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let n: usize = 45_000;
        let clients: u64 = std::env::var("CLIENTS").ok().and_then(|c| c.parse().ok()).unwrap_or(400);
        let mut lines = Vec::new();
        let mut t = 1_800_000_000_000_u64;
        struct Conn {
            client: u64,
            port: u64,
            ip: u64,
            id: Vec<u8>,
        }
        let mut conns: Vec<Conn> = Vec::new();
        for i in 0..n {
            t += rand() % 20;
            if conns.len() < 200 || rand() % 20 == 0 {
                let client = (rand() % clients) * (rand() % clients) / clients;
                let mut id = ((t / 1000) as u32).to_be_bytes().to_vec();
                id.push(7);
                id.extend(&rand().to_be_bytes()[..6]);
                let c = Conn { client, port: 32768 + rand() % 28000, ip: client * 77 % 60000, id };
                if conns.len() < 200 {
                    conns.push(c)
                } else {
                    let k = (rand() % 200) as usize;
                    conns[k] = c
                }
            }
            let c = &conns[(rand() % conns.len() as u64) as usize];
            let mut id = ((t / 1000) as u32).to_be_bytes().to_vec();
            id.push(7);
            id.extend(&rand().to_be_bytes()[..6]);
            let id = data_encoding::BASE64.encode(&id);
            let cid = data_encoding::BASE64.encode(&c.id);
            let fp = {
                let h = crate::tree::leaf_hash(&c.client.to_be_bytes());
                data_encoding::HEXLOWER.encode(&h)
            };
            let serial = &fp[8..40];
            let lat = 3 + (rand() % 20) * (rand() % 10);
            let len = 200 + (rand() % 50) * (rand() % 100);
            let status = if rand() % 50 == 0 { 404 } else { 200 };
            let route =
                ["GET /Patient/{id}", "GET /Observation", "POST /Bundle", "GET /Encounter/{id}", "GET /metadata"]
                    [(rand() % 5) as usize];
            let (method, path) = route.split_once(' ').unwrap();
            let sec = t / 1000 % 60;
            let min = t / 60000 % 60;
            let msg = format!(
                "{{\"requestId\":\"{id}\",\"ip\":\"10.1.{}.{}\",\"requestTime\":\"30/Nov/2026:08:{min:02}:{sec:02} +0000\",\"httpMethod\":\"{method}\",\"routeKey\":\"{route}\",\"status\":\"{status}\",\"protocol\":\"HTTP/1.1\",\"responseLength\":\"{len}\",\"responseLatency\":\"{lat}\",\"clientCertSubject\":\"CN=client-{}.partner.example,O=Partner {} Ltd,C=GB\",\"clientCertSerial\":\"{serial}\",\"clientCertIssuer\":\"CN=Partner CA,O=Example,C=GB\"}}",
                c.ip >> 8,
                c.ip & 255,
                c.client,
                c.client % 60
            );
            let line = format!(
                "{{\"kind\":\"access\",\"time_ms\":{t},\"region\":\"us-east-1\",\"group\":\"/aws/apigateway/prod\",\"stream\":\"api-2026\",\"message\":{},\"request_id\":\"{id}\",\"domain\":\"api.example.com\",\"api_id\":\"abcd1234\",\"stage\":\"$default\",\"status\":{status},\"revision\":71,\"truststore\":{{\"digest\":\"8f2d000000000000000000000000000000000000000000000000000000000000\",\"version\":\"v1abc\"}},\"client\":{{\"subject\":\"CN=client-{}.partner.example,O=Partner {} Ltd,C=GB\",\"issuer\":\"CN=Partner CA,O=Example,C=GB\",\"serial\":\"{serial}\",\"fingerprint\":\"{fp}\"}},\"source\":\"10.1.{}.{}:{}\",\"connection\":\"{cid}\",\"began_ms\":{},\"method\":\"{method}\",\"path\":\"{path}\",\"bytes_in\":{},\"bytes_out\":{}}}",
                serde_json::to_string(&msg).unwrap(),
                c.client,
                c.client % 60,
                c.ip >> 8,
                c.ip & 255,
                c.port,
                t - lat,
                300 + rand() % 40,
                len + 180
            );
            let _ = i;
            lines.push(line);
        }
        let raw: usize = lines.iter().map(String::len).sum();
        let t0 = std::time::Instant::now();
        let mut table = Table::new();
        for l in &lines {
            table.push(l.as_bytes());
        }
        let t1 = std::time::Instant::now();
        let mut coded = table.code();
        let t2 = std::time::Instant::now();
        let header = coded.header();
        let hz = zstd::bulk::compress(&header, 9).unwrap();
        let per = n / 32;
        let blocks: Vec<Vec<u8>> = (0..32).map(|_| coded.block(per)).collect();
        let t3 = std::time::Instant::now();
        println!("raw {} per record {}, header {} -> {}", raw, raw / n, header.len(), hz.len());
        println!(
            "push {:?} code {:?} blocks {:?} per record",
            (t1 - t0) / n as u32,
            (t2 - t1) / n as u32,
            (t3 - t2) / n as u32
        );
        for level in [1, 3, 6, 9, 12, 15, 19] {
            let t = std::time::Instant::now();
            let z: usize = blocks.iter().map(|b| zstd::bulk::compress(b, level).unwrap().len()).sum();
            println!("level {level}: {:.2} B/record, {:?}", (z + hz.len()) as f64 / n as f64, t.elapsed() / n as u32);
        }
        let t = std::time::Instant::now();
        let h = Header::read(&header).unwrap();
        let th = t.elapsed();
        let back = h.lines(&blocks[3]).unwrap();
        println!("decode header {th:?} block {:?}", t.elapsed() - th);
        assert_eq!(back.line(0), lines[3 * per].as_bytes());
        let joined: Vec<u8> = lines.join("\n").into_bytes();
        let z = zstd::bulk::compress(&joined, 19).unwrap().len();
        println!("plain zstd 19 whole: {:.1}", z as f64 / n as f64);
        for (t, cs) in coded.codings.iter().enumerate() {
            for (k, c) in cs.iter().enumerate() {
                if !matches!(c, Coding::Constant | Coding::Copy(_) | Coding::ListedLike(_)) {
                    println!(
                        "{t} {k} {c:?} {} e.g. {}",
                        coded.table.columns[t][k].values.values.len(),
                        String::from_utf8_lossy(&coded.table.columns[t][k].values.values[0])
                    );
                }
            }
        }
    }
}
