//! Counters and latency histogram of one worker, and the JSON report.

use hdrhistogram::Histogram;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

pub struct Stats {
    pub ok: u64,
    pub bytes: u64,
    pub resumed: u64,
    /// Connections the server closed between two requests (nothing lost)
    pub closed_by_server: u64,
    /// What failed, and how often
    pub errors: BTreeMap<String, u64>,
    pub statuses: BTreeMap<u16, u64>,
    pub tls: Option<String>,
    /// idle mode: connections open at the beginning and at the end
    pub idle_open: (u64, u64),
    hist_ns: Histogram<u64>,
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            ok: 0,
            bytes: 0,
            resumed: 0,
            closed_by_server: 0,
            errors: BTreeMap::new(),
            statuses: BTreeMap::new(),
            tls: None,
            idle_open: (0, 0),
            hist_ns: Histogram::new_with_bounds(1, 120_000_000_000, 3).expect("bounds"),
        }
    }
}

impl Stats {
    pub fn success(&mut self, took: Duration, bytes: u64) {
        self.ok += 1;
        self.bytes += bytes;
        self.hist_ns.saturating_record((took.as_nanos() as u64).max(1));
    }

    pub fn error(&mut self, what: impl Into<String>) {
        *self.errors.entry(what.into()).or_default() += 1;
    }

    pub fn status(&mut self, code: u16) {
        *self.statuses.entry(code).or_default() += 1;
    }

    pub fn merge(&mut self, o: Stats) {
        self.ok += o.ok;
        self.bytes += o.bytes;
        self.resumed += o.resumed;
        self.closed_by_server += o.closed_by_server;
        for (k, v) in o.errors {
            *self.errors.entry(k).or_default() += v;
        }
        for (k, v) in o.statuses {
            *self.statuses.entry(k).or_default() += v;
        }
        self.tls = self.tls.take().or(o.tls);
        self.idle_open.0 += o.idle_open.0;
        self.idle_open.1 += o.idle_open.1;
        self.hist_ns.add(o.hist_ns).expect("same bounds");
    }

    pub fn json(&self, mode: &str, duration_s: f64) -> serde_json::Value {
        let us = |q: f64| self.hist_ns.value_at_quantile(q) as f64 / 1000.0;
        json!({
            "mode": mode,
            "ok": self.ok,
            "per_s": self.ok as f64 / duration_s,
            "duration_s": duration_s,
            "bytes": self.bytes,
            "resumed": self.resumed,
            "closed_by_server": self.closed_by_server,
            "errors": self.errors,
            "statuses": self.statuses,
            "tls": self.tls,
            "idle_open_start": self.idle_open.0,
            "idle_open_end": self.idle_open.1,
            "latency_us": {
                "mean": self.hist_ns.mean() / 1000.0,
                "p50": us(0.5), "p90": us(0.9), "p99": us(0.99), "p999": us(0.999),
                "max": self.hist_ns.max() as f64 / 1000.0,
            },
        })
    }
}
