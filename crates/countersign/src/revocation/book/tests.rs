use super::*;

/// A statement about nobody.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    made: UnixSeconds,
    until: UnixSeconds,
    revokes: usize,
}

impl Statement for Said {
    fn until(&self) -> UnixSeconds {
        self.until
    }

    fn weight(&self) -> usize {
        self.revokes
    }

    fn is_before(&self, other: &Self) -> bool {
        self.made < other.made
    }

    fn revokes_more_than(&self, other: Option<&Self>) -> bool {
        self.revokes > other.map_or(0, |other| other.revokes)
    }
}

const JITTER: u8 = 128;

fn book(count: usize, weight: usize) -> Book<&'static str, Said> {
    Book::new(Bounds { count, weight })
}

fn source() -> Source {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap();
    let certificate = Arc::new(Certificate::from_der(certificate.der()).unwrap());
    Source { certificate: certificate.clone(), issuer: certificate, urls: Vec::new() }
}

fn said(made: UnixSeconds, until: UnixSeconds, revokes: usize) -> Said {
    Said { made, until, revokes }
}

fn failed(lookup: &Lookup<Arc<Said>>) -> bool {
    matches!(lookup, Lookup::Failed { .. })
}

#[test]
fn what_is_there_is_told_and_what_is_out_of_date_is_asked_for_again() {
    let (book, source) = (book(10, 10), source());
    assert!(matches!(book.lookup("a", 100, true), Lookup::Unasked));
    assert!(failed(&book.lookup("a", 100, false)), "who does not wait gets no answer");

    book.learn(&"a", &source, said(90, 200, 0), 100, JITTER);
    assert!(matches!(book.lookup("a", 200, true), Lookup::Found(found) if found.made == 90));
    assert!(matches!(book.lookup("a", 201, true), Lookup::Unasked));
    assert!(matches!(book.lookup("a", 201, false), Lookup::Found(_)), "out of date is better than nothing");

    book.fail(&"a", &source, "gone".into(), 201);
    assert!(matches!(book.lookup("a", 201, true), Lookup::Found(_)));
    assert!(matches!(book.lookup("a", 201 + RETRY + 1, true), Lookup::Unasked));
}

#[test]
fn failures_are_believed_for_a_while() {
    let (book, source) = (book(10, 10), source());
    book.fail(&"a", &source, "gone".into(), 100);
    for patient in [true, false] {
        match book.lookup("a", 100 + RETRY, patient) {
            Lookup::Failed { why, until } => assert_eq!((why.as_str(), until), ("gone", 100 + RETRY)),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(book.lookup("a", 101 + RETRY, true), Lookup::Unasked));
    assert!(book.due(1_000).is_empty(), "what was never there is fetched when somebody asks");
}

#[test]
fn nobody_plays_back_what_was_said_before() {
    let (book, source) = (book(10, 10), source());
    book.learn(&"a", &source, said(90, 200, 1), 100, JITTER);
    assert_eq!(book.learn(&"a", &source, said(80, 300, 0), 110, JITTER), (false, vec![]));
    assert_eq!(book.found("a").unwrap().made, 90);
}

#[test]
fn tells_when_verdicts_may_be_others() {
    for (before, now, news) in [
        (None, said(90, 200, 1), false),
        (Some(said(80, 200, 1)), said(90, 200, 1), false),
        (Some(said(80, 200, 1)), said(90, 200, 2), true),
        (Some(said(80, 200, 2)), said(90, 200, 1), false),
        (Some(said(80, 99, 1)), said(90, 200, 1), true),
    ] {
        let (book, source) = (book(10, 10), source());
        if let Some(before) = before {
            book.learn(&"a", &source, before, 85, JITTER);
        }
        assert_eq!(book.learn(&"a", &source, now, 100, JITTER).0, news);
    }
    let (book, source) = (book(10, 10), source());
    book.fail(&"a", &source, "gone".into(), 100);
    assert!(book.learn(&"a", &source, said(90, 200, 1), 101, JITTER).0, "somebody may have been let in without it");
}

#[test]
fn what_was_asked_for_longest_ago_goes() {
    let source = source();
    let book = book(3, 10);
    for (at, key) in [(1, "a"), (2, "b"), (3, "c")] {
        book.learn(&key, &source, said(0, 1_000, 1), at, JITTER);
    }
    book.lookup("a", 4, true);
    assert_eq!(book.learn(&"d", &source, said(0, 1_000, 1), 5, JITTER).1, ["b"]);
    assert_eq!(book.learn(&"e", &source, said(0, 1_000, 9), 6, JITTER).1, ["c", "a"], "too much together");
}

#[test]
fn refreshes_in_time() {
    for (life, jitter, wait) in [
        (10, 0, 9),
        (1, 0, 1),
        (100, 0, 60),
        (1_000, 0, 400),
        (1_000, 255, 600),
        (86_400 * 7, 0, 6 * 3600),
        (UnixSeconds::MAX, 255, 6 * 3600),
        (-5, 0, 1),
    ] {
        assert_eq!(refresh_at(50, 50_i64.saturating_add(life), jitter) - 50, wait, "{life} {jitter}");
    }
    let (book, source) = (book(10, 10), source());
    book.learn(&"a", &source, said(0, 1_000, 0), 0, 0);
    book.hurry(&"a", 7);
    assert_eq!((book.due(6).len(), book.due(7).len()), (0, 1));
    book.learn(&"a", &source, said(0, 1_000, 0), 0, 0);
    assert!(book.due(399).is_empty());
    assert_eq!(book.due(400).len(), 1);
    book.fail(&"a", &source, "gone".into(), 400);
    assert!(book.due(400 + RETRY).is_empty());
    assert_eq!(book.due(401 + RETRY).len(), 1, "it is tried again");
    assert!(book.due(FORGOTTEN).is_empty(), "nobody asked for it in a long time");
}
