//! What each mode does on one event loop.

use crate::h1::{self, Conn, Error};
use crate::stats::Stats;
use crate::tls::{Connector, Stream};
use crate::{Load, Window};
use serde_json::json;
use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

type Shared = Rc<RefCell<Stats>>;

async fn within<T>(load: &Load, f: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    match tokio::time::timeout(Duration::from_secs_f64(load.timeout), f).await {
        Ok(r) => r,
        Err(_) => Err("timeout".into()),
    }
}

fn unwrap_stats(s: Shared) -> Stats {
    std::mem::take(&mut *s.borrow_mut())
}

async fn join_all(mut set: JoinSet<()>) {
    while set.join_next().await.is_some() {}
}

fn note_tls(stats: &Shared, s: &Stream) {
    let mut st = stats.borrow_mut();
    if st.tls.is_none() {
        let c = s.get_ref().1;
        st.tls = Some(format!(
            "{:?} {:?} {:?}",
            c.protocol_version(),
            c.negotiated_cipher_suite().map(|s| s.suite()),
            c.alpn_protocol().map(String::from_utf8_lossy)
        ));
    }
}

/// Requests on a fresh HTTP/1.1 connection.
async fn some_requests(io: Stream, host: &str, load: &Load, n: usize) -> Result<(Stream, u16), String> {
    let mut c = Conn::new(io);
    let req = h1::request_bytes(host, &load.path, load.body);
    let mut status = 0;
    for _ in 0..n {
        status = c.request(&req).await.map_err(|e| e.to_string())?.status;
    }
    Ok((c.into_io(), status))
}

/// Ends the session cleanly and waits for the server's end: only then has the server certainly accepted
/// our certificate (in TLS 1.3 the client is done before the server has looked at it).
async fn close(io: &mut Stream) -> Result<(), String> {
    io.shutdown().await.map_err(|e| format!("shutdown: {e}"))?;
    let mut b = [0u8; 4096];
    loop {
        match io.read(&mut b).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => return Err(format!("alert: {e}")),
            Err(_) => return Ok(()), // reset after our own close
        }
    }
}

pub async fn handshake(load: Load, w: Window) -> Stats {
    let stats: Shared = Default::default();
    let load = Rc::new(load);
    let connector = Rc::new(Connector::new(&load));
    let mut set = JoinSet::new();
    for i in 0..load.connections {
        // with resumption every worker keeps sessions of its own, so that each new connection finds a ticket
        let connector = if load.resume { Rc::new(Connector::new(&load)) } else { connector.clone() };
        let (stats, load) = (stats.clone(), load.clone());
        set.spawn_local(async move {
            let host = connector.sni(i);
            let mut pace = Pace::new(&load, w, i);
            while let Some(t0) = pace.next().await {
                let one = async {
                    let mut io = connector.connect(i).await?;
                    let resumed = io.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
                    note_tls(&stats, &io);
                    let mut took = t0.elapsed();
                    let mut status = None;
                    if load.requests_per_conn > 0 {
                        let (back, st) = some_requests(io, &host, &load, load.requests_per_conn).await?;
                        (io, status) = (back, Some(st));
                        took = t0.elapsed();
                    }
                    close(&mut io).await?;
                    Ok((took, resumed, status))
                };
                let r = within(&load, one).await;
                if !w.measuring(Instant::now()) {
                    continue;
                }
                let mut s = stats.borrow_mut();
                match r {
                    Ok((took, resumed, status)) => {
                        s.success(took, 0);
                        s.resumed += u64::from(resumed);
                        if let Some(c) = status {
                            s.status(c);
                        }
                    }
                    Err(e) => s.error(e),
                }
            }
        });
    }
    join_all(set).await;
    unwrap_stats(stats)
}

/// Gives the start time of each operation: at once (closed loop), or on a fixed schedule. Where the previous
/// operation ran past the scheduled time, the scheduled time is the start: waiting counts as latency
/// (no coordinated omission). The timer's own lateness does not count.
struct Pace {
    window: Window,
    every: Option<Duration>,
    next: Instant,
}

impl Pace {
    fn new(load: &Load, window: Window, i: usize) -> Self {
        let slots = (load.connections * load.streams) as f64;
        let every = load.rate.map(|r| Duration::from_secs_f64(slots / r));
        let offset = every.map_or(Duration::ZERO, |e| e.mul_f64((i as f64 + 0.5) / slots));
        Pace { window, every, next: window.start + offset }
    }

    async fn next(&mut self) -> Option<Instant> {
        let now = Instant::now();
        if now >= self.window.end {
            return None;
        }
        let Some(every) = self.every else { return Some(now) };
        let due = self.next;
        self.next += every;
        if due >= self.window.end {
            return None;
        }
        if due <= now {
            return Some(due);
        }
        tokio::time::sleep_until(due.into()).await;
        Some(Instant::now())
    }
}

pub async fn http(load: Load, w: Window) -> Stats {
    let stats: Shared = Default::default();
    let load = Rc::new(load);
    let connector = Rc::new(Connector::new(&load));
    let mut set = JoinSet::new();
    for i in 0..load.connections {
        let (stats, load, connector) = (stats.clone(), load.clone(), connector.clone());
        set.spawn_local(async move {
            if load.h2 {
                h2_connection(i, load, connector, stats, w).await
            } else {
                h1_connection(i, load, connector, stats, w).await
            }
        });
    }
    join_all(set).await;
    unwrap_stats(stats)
}

async fn h1_connection(i: usize, load: Rc<Load>, connector: Rc<Connector>, stats: Shared, w: Window) {
    let req = h1::request_bytes(&connector.sni(i), &load.path, load.body);
    let mut pace = Pace::new(&load, w, i);
    let mut conn = None;
    while let Some(t0) = pace.next().await {
        let one = async {
            // a kept connection the server has closed in the meantime is replaced once, as a client would
            for retry in [true, false] {
                if conn.is_none() {
                    let io = connector.connect(i).await?;
                    note_tls(&stats, &io);
                    conn = Some(Conn::new(io));
                }
                match conn.as_mut().expect("set above").request(&req).await {
                    Ok(r) => return Ok(r),
                    Err(Error::Closed) if retry => {
                        stats.borrow_mut().closed_by_server += 1;
                        conn = None;
                    }
                    Err(e) => return Err(e.to_string()),
                }
            }
            unreachable!("the second round returns")
        };
        let r = within(&load, one).await;
        let measuring = w.measuring(Instant::now());
        let mut s = stats.borrow_mut();
        match r {
            Ok(r) => {
                if r.close {
                    conn = None;
                    s.closed_by_server += 1;
                }
                if measuring {
                    s.success(t0.elapsed(), r.bytes);
                    s.status(r.status);
                }
            }
            Err(e) => {
                conn = None;
                s.error(e);
                drop(s);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

async fn h2_connection(i: usize, load: Rc<Load>, connector: Rc<Connector>, stats: Shared, w: Window) {
    while Instant::now() < w.end {
        let opened = async {
            let io = connector.connect(i).await?;
            note_tls(&stats, &io);
            h2::client::Builder::new()
                .initial_window_size(1 << 20)
                .initial_connection_window_size(16 << 20)
                .handshake::<_, bytes::Bytes>(io)
                .await
                .map_err(|e| format!("h2: {e}"))
        };
        let (send, conn) = match within(&load, opened).await {
            Ok(v) => v,
            Err(e) => {
                stats.borrow_mut().error(e);
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let driver = tokio::task::spawn_local(async move {
            let _ = conn.await;
        });
        let mut set = JoinSet::new();
        for s in 0..load.streams {
            let (load, stats, send, host) = (load.clone(), stats.clone(), send.clone(), connector.sni(i));
            set.spawn_local(async move { h2_stream(i * load.streams + s, load, send, host, stats, w).await });
        }
        join_all(set).await;
        driver.abort();
        if Instant::now() < w.end {
            stats.borrow_mut().closed_by_server += 1;
        }
    }
}

async fn h2_stream(
    slot: usize,
    load: Rc<Load>,
    send: h2::client::SendRequest<bytes::Bytes>,
    host: String,
    stats: Shared,
    w: Window,
) {
    let uri = format!("https://{host}{}", load.path);
    let body = bytes::Bytes::from(vec![b'x'; load.body]);
    let mut pace = Pace::new(&load, w, slot);
    while let Some(t0) = pace.next().await {
        let one = async {
            let e = |e: h2::Error| format!("h2: {e}");
            let mut send = send.clone().ready().await.map_err(e)?;
            let method = if load.body == 0 { http::Method::GET } else { http::Method::POST };
            let req = http::Request::builder()
                .method(method)
                .uri(&uri)
                .header("user-agent", "loadgen")
                .header("accept", "*/*")
                .body(())
                .expect("request");
            let (res, mut up) = send.send_request(req, load.body == 0).map_err(e)?;
            if load.body > 0 {
                up.send_data(body.clone(), true).map_err(e)?;
            }
            let res = res.await.map_err(e)?;
            let status = res.status().as_u16();
            let mut data = res.into_body();
            let mut bytes = 0;
            while let Some(chunk) = data.data().await {
                let n = chunk.map_err(e)?.len();
                bytes += n as u64;
                data.flow_control().release_capacity(n).map_err(e)?;
            }
            Ok((status, bytes))
        };
        let r = within(&load, one).await;
        let measuring = w.measuring(Instant::now());
        let mut s = stats.borrow_mut();
        match r {
            Ok((status, bytes)) if measuring => {
                s.success(t0.elapsed(), bytes);
                s.status(status);
            }
            Ok(_) => {}
            Err(e) => {
                // the connection is over: the caller opens the next
                if Instant::now() < w.end {
                    s.error(e);
                }
                return;
            }
        }
    }
}

pub async fn idle(load: Load) -> Stats {
    let stats: Shared = Default::default();
    let load = Rc::new(load);
    let connector = Rc::new(Connector::new(&load));
    let open: Rc<RefCell<Vec<Stream>>> = Default::default();
    let next = Rc::new(std::cell::Cell::new(0));
    let mut set = JoinSet::new();
    for _ in 0..32.min(load.connections) {
        let (stats, load, connector, open, next) =
            (stats.clone(), load.clone(), connector.clone(), open.clone(), next.clone());
        set.spawn_local(async move {
            loop {
                let i = next.get();
                if i >= load.connections {
                    return;
                }
                next.set(i + 1);
                let t0 = Instant::now();
                let one = async {
                    let io = connector.connect(i).await?;
                    note_tls(&stats, &io);
                    Ok(some_requests(io, &connector.sni(i), &load, load.requests_per_conn).await?.0)
                };
                match within(&load, one).await {
                    Ok(io) => {
                        stats.borrow_mut().success(t0.elapsed(), 0);
                        open.borrow_mut().push(io);
                    }
                    Err(e) => stats.borrow_mut().error(e),
                }
            }
        });
    }
    join_all(set).await;
    let mut open = open.take();
    stats.borrow_mut().idle_open.0 = open.len() as u64;
    eprintln!("READY {}", open.len());
    tokio::time::sleep(Duration::from_secs_f64(load.duration)).await;
    // still open: reading gives nothing (not end of file, not an error); ticket records are read over
    let mut alive = 0;
    for io in &mut open {
        let mut b = [0u8; 256];
        alive += u64::from(tokio::time::timeout(Duration::ZERO, io.read(&mut b)).await.is_err());
    }
    stats.borrow_mut().idle_open.1 = alive;
    unwrap_stats(stats)
}

/// Opens a connection and sends one request at every interval; reports the first outcome and every change.
pub async fn probe(load: Load) {
    let connector = Connector::new(&load);
    let end = Instant::now() + Duration::from_secs_f64(load.duration);
    let mut changes = Vec::new();
    let mut last = String::new();
    let mut tries = 0;
    let mut slowest = Duration::ZERO;
    while Instant::now() < end {
        let t0 = Instant::now();
        let sent = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("clock").as_secs_f64();
        let one = async {
            let io = connector.connect(tries).await?;
            Ok(some_requests(io, &connector.sni(tries), &load, 1).await?.1)
        };
        let outcome = match within(&load, one).await {
            Ok(status) => format!("status {status}"),
            Err(e) => e,
        };
        tries += 1;
        slowest = slowest.max(t0.elapsed());
        if outcome != last {
            changes.push(json!({"unix_s": sent, "outcome": outcome}));
            last = outcome;
        }
        let step = Duration::from_millis(load.interval_ms);
        if let Some(rest) = step.checked_sub(t0.elapsed()) {
            tokio::time::sleep(rest).await;
        }
    }
    println!(
        "{}",
        json!({"mode": "probe", "tries": tries, "slowest_us": slowest.as_micros() as u64, "changes": changes})
    );
}
