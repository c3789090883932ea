//! What it costs to find one route of 300.
//!
//! `cargo bench -p model --bench routing`

use divan::Bencher;
use model::RouteKey;
use model::router::Router;

const ROUTES: usize = 300;

fn main() {
    divan::main();
}

/// 300 routes as an API has them: resources with their items, a greedy one for each version.
fn router() -> Router<usize> {
    let keys = (0..ROUTES).map(|number| match number % 3 {
        0 => format!("GET /v{}/things-{number}", number % 10),
        1 => format!("POST /v{}/things-{number}/{{id}}/parts/{{part}}", number % 10),
        _ => format!("ANY /v{}/others-{number}/{{proxy+}}", number % 10),
    });
    Router::new(keys.enumerate().map(|(number, key)| (RouteKey::parse(&key).expect("a route key"), number)))
}

fn find(bencher: Bencher, method: &str, path: &str, found: bool) {
    let router = router();
    assert_eq!(router.find(method, path).is_some(), found);
    bencher.bench(|| router.find(method, path).is_some());
}

#[divan::bench]
fn fixed(bencher: Bencher) {
    find(bencher, "GET", "/v0/things-150", true);
}

#[divan::bench]
fn variables(bencher: Bencher) {
    find(bencher, "POST", "/v1/things-151/17/parts/4", true);
}

#[divan::bench]
fn greedy(bencher: Bencher) {
    find(bencher, "PUT", "/v2/others-152/a/b/c/d/e", true);
}

#[divan::bench]
fn miss(bencher: Bencher) {
    find(bencher, "GET", "/v3/things-150/17/parts/4", false);
}

#[divan::bench]
fn build(bencher: Bencher) {
    bencher.bench(router);
}
