//! What the data plane counts, for `/_countersign/metrics`.

use std::fmt;

use control::metrics::{Collector, DescriptorEncoder, counter, gauge};
use control::{ReadTraffic, TrafficTotals};
use edge::{Connections, Counters, UpstreamTotals};

/// Requests and refusals of each domain; what bounds closed or refused; connections.
#[derive(Debug)]
pub(super) struct OfEdge {
    pub(super) counters: Counters,
    pub(super) connections: Connections,
}

/// What the console shows as it comes.
pub(super) fn traffic(counters: Counters, connections: Connections) -> ReadTraffic {
    Box::new(move || {
        let sum = counters.sum();
        let connections = connections.total() as u64;
        TrafficTotals { requests: sum.requests, refusals: sum.refusals, connections }
    })
}

impl Collector for OfEdge {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let totals = self.counters.totals();
        let requests = totals.iter().map(|(domain, totals)| ([("domain", domain.as_str())], totals.requests));
        counter(&mut encoder, "requests", "Requests of clients that were let in.", requests)?;
        let refusals = totals.iter().flat_map(|(domain, totals)| {
            let of_domain = totals.refusals.iter();
            of_domain.map(move |(code, count)| ([("domain", domain.as_str()), ("reason", code.as_str())], *count))
        });
        counter(&mut encoder, "refusals", "Requests and handshakes of clients that were refused.", refusals)?;
        let handshakes = totals.iter().flat_map(|(domain, totals)| {
            let label = |kind: &'static str| [("domain", domain.as_str()), ("kind", kind)];
            [(label("full"), totals.full_handshakes), (label("resumed"), totals.resumed_handshakes)]
        });
        let help = "TLS handshakes that came to an end, by whether they continued a session.";
        counter(&mut encoder, "handshakes", help, handshakes.filter(|(_, count)| *count > 0))?;
        let denials = totals.iter().flat_map(|(domain, totals)| {
            let of_domain = totals.denials.iter();
            of_domain.map(move |(denial, count)| ([("domain", domain.as_str()), ("reason", *denial)], *count))
        });
        counter(
            &mut encoder,
            "denials",
            "Requests of clients that were let in, and not let through to their route.",
            denials,
        )?;
        let differences = totals.iter().flat_map(|(domain, totals)| {
            let label = |would: &'static str| [("domain", domain.as_str()), ("would", would)];
            [(label("refuse"), totals.shadow_would_refuse), (label("accept"), totals.shadow_would_accept)]
        });
        let help = "Requests and handshakes about which the shadow truststore differs, by what it would do.";
        counter(&mut encoder, "shadow_differences", help, differences.filter(|(_, count)| *count > 0))?;
        let limits = totals.iter().flat_map(|(domain, totals)| {
            let label = |limit: &'static str| [("domain", domain.as_str()), ("limit", limit)];
            [(label("rate"), totals.beyond_rate), (label("concurrency"), totals.beyond_concurrency)]
        });
        let help = "Requests that were answered 429 because their client was beyond a limit of its own.";
        counter(&mut encoder, "client_limits", help, limits.filter(|(_, count)| *count > 0))?;
        let errors = totals.iter().map(|(domain, totals)| ([("domain", domain.as_str())], totals.policy_errors));
        let help = "How often a policy could not be evaluated, and had no say.";
        counter(&mut encoder, "policy_errors", help, errors.filter(|(_, count)| *count > 0))?;
        let bounds = self.counters.bounds().into_iter().map(|(bound, count)| ([("limit", bound.as_str())], count));
        let help = "Connections, handshakes and requests that were closed or refused, by the limit that they met.";
        counter(&mut encoder, "limits", help, bounds)?;
        let upstreams = self.counters.upstreams();
        let of_each = |total: fn(&UpstreamTotals) -> u64| {
            upstreams.iter().map(move |(upstream, totals)| ([("upstream", upstream.as_str())], total(totals)))
        };
        let help = "Connections to backends that were made.";
        counter(&mut encoder, "upstream_connections", help, of_each(|totals| totals.connections))?;
        let help = "Connections to backends that did not come about, and requests that a backend left without a proper answer.";
        counter(&mut encoder, "upstream_failures", help, of_each(|totals| totals.failures))?;
        let help = "How often an address of a backend was passed over because it kept failing.";
        counter(&mut encoder, "upstream_ejections", help, of_each(|totals| totals.ejections))?;
        let connections = [([], self.connections.total() as f64)];
        gauge(&mut encoder, "connections", "Connections of clients that are open.", connections)
    }
}
