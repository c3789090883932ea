//! `/_countersign/metrics`: what the server counts and measures, as OpenMetrics text (OpenMetrics 1.0, which Prometheus
//! scrapes).
//!
//! Whoever has something to tell registers a [`Collector`], which is asked at each scrape. Names begin with
//! `countersign_`.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::header::AUTHORIZATION;
use http::request::Parts;
use model::resource::NamedObject;
pub use prometheus_client::collector::Collector;
pub use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::{EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use zeroize::Zeroizing;

use crate::{Origin, Settings};

/// `Content-Type` of the answer.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Series of one metric that has one for each domain: those that matter most; the others are not told.
pub const MAX_SERIES: usize = 1_000;

/// Everything that is told at `/_countersign/metrics`.
pub struct Metrics {
    registry: Registry,
    token: Option<Zeroizing<String>>,
}

/// Why somebody is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwelcome {
    /// The request comes from another machine, and there is no token that it could carry.
    NoToken,
    /// It carries none, or another.
    WrongToken,
}

impl Metrics {
    /// With nothing in it yet. `token` opens it to other machines: `Authorization: Bearer TOKEN`. This machine needs
    /// none.
    pub fn new(token: Option<Zeroizing<String>>) -> Self {
        Self { registry: Registry::with_prefix("countersign"), token }
    }

    /// From now on `collector` is asked at each scrape. It may block. The names that it gives get `countersign_` before
    /// them.
    pub fn register(&mut self, collector: impl Collector) {
        self.registry.register_collector(Box::new(collector));
    }

    /// Whether a request may have them.
    pub(crate) fn admit(&self, parts: &Parts, origin: &Origin) -> Result<(), Unwelcome> {
        if origin.peer.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        let token = self.token.as_ref().ok_or(Unwelcome::NoToken)?;
        let shown = parts.headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let shown = shown.ok_or(Unwelcome::WrongToken)?;
        verify_slices_are_equal(shown, token.as_bytes()).map_err(|_| Unwelcome::WrongToken)
    }

    /// All of it. Blocks as long as the collectors do.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Tells a gauge: one value for each set of labels.
pub fn gauge<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = ([(&'static str, &'a str); N], f64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// Tells a counter: one total for each set of labels. `_total` is put behind the name.
pub fn counter<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    totals: impl IntoIterator<Item = ([(&'static str, &'a str); N], u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, total) in totals {
        ConstCounter::new(total).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// What the settings say.
pub(crate) struct OfSettings(pub(crate) Settings);

impl Collector for OfSettings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state: Arc<model::State> = self.0.state();
        let version = [([("version", env!("CARGO_PKG_VERSION"))], 1.0)];
        gauge(&mut encoder, "build_info", "The version that runs.", version)?;
        let revisions = "The settings' newest revision.";
        gauge(&mut encoder, "settings_revision", revisions, [([], state.revision as f64)])?;
        let applied = "The settings' revision that every live node enforces.";
        gauge(&mut encoder, "settings_applied_revision", applied, [([], self.0.applied() as f64)])?;
        let nodes = "Nodes that enforce the settings.";
        gauge(&mut encoder, "nodes", nodes, [([], self.0.nodes().len() as f64)])?;
        let lost = self.0.lost().map(|since| ([], since as f64 / 1000.0));
        let help = "Since when the store of the settings cannot be asked, in seconds since 1970; missing while it can.";
        gauge(&mut encoder, "store_lost_since_seconds", help, lost)?;
        let changes = self.0.trail().totals();
        let changes = changes
            .into_iter()
            .map(|((service, outcome), total)| ([("service", service), ("outcome", outcome)], total));
        let help = "Changes of settings, and calls that were to make some, by service and outcome.";
        counter(&mut encoder, "settings_changes", help, changes)?;
        let domains = || state.domains.values();
        let trusting = domains().filter_map(|domain| Some((domain, domain.mutual_tls.as_ref()?)));
        let drift = trusting.map(|(domain, object)| ([("domain", domain.name.as_str())], drifts(object)));
        let drift = most(drift);
        let help = "1 where the truststore's object has a newer version than the one that is enforced.";
        gauge(&mut encoder, "truststore_drift", help, drift)?;
        let shadows = domains().flat_map(|domain| domain.shadow.iter().map(|object| tagged(&domain.name, object)));
        let shadows = most(shadows);
        let help = "1 where the shadow truststore's object has a newer version than the pinned one.";
        gauge(&mut encoder, "shadow_truststore_drift", help, shadows)?;
        let crls = domains().flat_map(|domain| domain.crls.iter().map(|object| tagged(&domain.name, object)));
        let crls = most(crls);
        let help =
            "1 where a revocation list's object has a newer version than the pinned one, or one that is no list.";
        gauge(&mut encoder, "crl_drift", help, crls)?;
        let orders = state.acme_orders.values().filter_map(|order| {
            let certificate = state.certificates.get(&order.arn)?;
            let labels = [("arn", order.arn.as_str()), ("domain", certificate.domain_name.as_str())];
            Some((labels, f64::from(order.failures)))
        });
        let help = "Orders of a certificate from its ACME issuer that came to nothing since it was wanted.";
        gauge(&mut encoder, "certificate_order_failures", help, most(orders))?;
        let policies = state.api_policies.values().map(|policy| {
            let labels = [("api", policy.api_id.as_str()), ("uri", policy.object.uri.as_str())];
            (labels, drifts(&policy.object))
        });
        let help = "1 where the policies' object has a newer version than the pinned one, or one that cannot be used.";
        gauge(&mut encoder, "policy_drift", help, policies)
    }
}

/// At most [`MAX_SERIES`], those with a value other than 0 first.
fn most<L>(all: impl Iterator<Item = (L, f64)>) -> Vec<(L, f64)> {
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(_, value)| *value == 0.0);
    all.truncate(MAX_SERIES);
    all
}

fn tagged<'a>(domain: &'a str, object: &'a NamedObject) -> ([(&'static str, &'a str); 2], f64) {
    ([("domain", domain), ("uri", object.uri.as_str())], drifts(object))
}

fn drifts(object: &NamedObject) -> f64 {
    f64::from(u8::from(object.newest.is_some()))
}

impl fmt::Debug for OfSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfSettings")
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn admit(token: Option<&str>, shown: Option<&str>, peer: &str) -> Result<(), Unwelcome> {
        let metrics = Metrics::new(token.map(|token| Zeroizing::new(token.to_owned())));
        let mut request = Request::builder().uri("/_countersign/metrics");
        if let Some(shown) = shown {
            request = request.header(AUTHORIZATION, shown);
        }
        let origin = Origin { peer: peer.parse().unwrap(), tls: true };
        metrics.admit(&request.body(()).unwrap().into_parts().0, &origin)
    }

    #[test]
    fn other_machines_need_the_token() {
        let far = "192.0.2.1:1";
        for (token, shown, peer, answer) in [
            (None, None, "127.0.0.1:1", Ok(())),
            (Some("t"), None, "[::1]:1", Ok(())),
            (None, None, "[::ffff:127.0.0.9]:1", Ok(())),
            (None, None, far, Err(Unwelcome::NoToken)),
            (None, Some("Bearer "), far, Err(Unwelcome::NoToken)),
            (Some("token"), None, far, Err(Unwelcome::WrongToken)),
            (Some("token"), Some("Bearer toke"), far, Err(Unwelcome::WrongToken)),
            (Some("token"), Some("Bearer tokeN"), far, Err(Unwelcome::WrongToken)),
            (Some("token"), Some("Basic token"), far, Err(Unwelcome::WrongToken)),
            (Some("token"), Some("Bearer token"), far, Ok(())),
        ] {
            assert_eq!(admit(token, shown, peer), answer, "{token:?} {shown:?} {peer}");
        }
    }

    #[derive(Debug)]
    struct Two;

    impl Collector for Two {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            gauge(&mut encoder, "age_seconds", "An age.", [([("domain", "a\"\\\n")], 1.5)])?;
            counter(&mut encoder, "requests", "Requests.", [([], 3)])
        }
    }

    #[test]
    fn collectors_are_asked_and_labels_escaped() {
        let mut metrics = Metrics::new(None);
        metrics.register(Two);
        let text = metrics.text().unwrap();
        assert!(text.contains("countersign_age_seconds{domain=\"a\\\"\\\\\\n\"} 1.5\n"), "{text}");
        assert!(text.contains("# TYPE countersign_requests counter\ncountersign_requests_total"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
