//! Which route takes a request: full match before greedy before `$default`, static before variable, method before ANY.
//!
//! Source: "Create routes for HTTP APIs", API Gateway developer guide.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::pattern::{PatternSegment, RouteKey};

/// Routes as a tree over path segments: the cost of a look-up depends on the path, not on the number of routes.
#[derive(Clone, Debug)]
pub struct Router<T> {
    root: Node<T>,
    default: Option<T>,
}

/// The route found, and its path variables in order.
#[derive(Debug, PartialEq, Eq)]
pub struct Match<'r, 'p, T> {
    /// What was inserted with the route.
    pub route: &'r T,
    /// Name and value, percent-encoded as the client sent it.
    pub variables: Vec<(&'r str, &'p str)>,
}

#[derive(Clone, Debug)]
struct Node<T> {
    fixed: HashMap<String, Node<T>>,
    variable: Option<Box<Node<T>>>,
    full: Vec<Entry<T>>,
    greedy: Vec<Entry<T>>,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    method: Option<String>,
    /// Variable names on the way down, in order.
    names: Vec<String>,
    route: T,
}

impl<T> Router<T> {
    /// Of route keys and what they lead to. A later route replaces an equal earlier one.
    pub fn new(routes: impl IntoIterator<Item = (RouteKey, T)>) -> Self {
        let mut router = Self { root: Node::default(), default: None };
        for (key, route) in routes {
            match key {
                RouteKey::Default => router.default = Some(route),
                RouteKey::Request { method, path } => router.root.insert(&path.segments, method, route),
            }
        }
        router
    }

    /// Finds the route of a request. `path` starts with `/` and has no query.
    pub fn find<'r, 'p>(&'r self, method: &str, path: &'p str) -> Option<Match<'r, 'p, T>> {
        let mut values = Vec::new();
        match self.entry(Some(method), path, &mut values) {
            Some((entry, _)) => Some(Match {
                route: &entry.route,
                variables: entry.names.iter().map(String::as_str).zip(values).collect(),
            }),
            None => Some(Match { route: self.default.as_ref()?, variables: Vec::new() }),
        }
    }

    /// Names and values of the single segments of `path` that a route declares as variables: the route of the request or, where
    /// it has none, that of another method for the path. What a greedy variable takes is not declared to be anything.
    pub fn declared<'r, 'p>(&'r self, method: &str, path: &'p str) -> Vec<(&'r str, &'p str)> {
        let declared = |method, of_all| {
            let mut values = Vec::new();
            let (entry, is_full) = self.entry(method, path, &mut values).filter(|(_, is_full)| of_all || *is_full)?;
            // The greedy one is the last.
            let single = values.len() - usize::from(!is_full);
            Some(entry.names.iter().map(String::as_str).zip(values).take(single).collect())
        };
        let found = declared(Some(method), false).or_else(|| declared(None, false));
        found.or_else(|| declared(Some(method), true)).or_else(|| declared(None, true)).unwrap_or_default()
    }

    /// With the values of its variables, and whether none of them is greedy. `None`: of any method.
    fn entry<'r, 'p>(
        &'r self,
        method: Option<&str>,
        path: &'p str,
        values: &mut Vec<&'p str>,
    ) -> Option<(&'r Entry<T>, bool)> {
        let rest = path.strip_prefix('/').unwrap_or(path);
        if let Some(entry) = self.root.full(method, rest, values) {
            return Some((entry, true));
        }
        values.clear();
        self.root.greedy(method, rest, values).map(|entry| (entry, false))
    }
}

impl<T> Node<T> {
    fn insert(&mut self, segments: &[PatternSegment], method: Option<String>, route: T) {
        let mut node = self;
        let mut names = Vec::new();
        for segment in segments {
            match segment {
                PatternSegment::Static(text) => node = node.fixed.entry(text.clone()).or_default(),
                PatternSegment::Variable(name) => {
                    names.push(name.clone());
                    node = node.variable.get_or_insert_default();
                }
                PatternSegment::Greedy(name) => {
                    names.push(name.clone());
                    return Entry { method, names, route }.replace_in(&mut node.greedy);
                }
            }
        }
        Entry { method, names, route }.replace_in(&mut node.full);
    }

    /// A route that matches the whole path. Each node is visited at most twice a segment: static, then variable.
    fn full<'p>(&self, method: Option<&str>, rest: &'p str, values: &mut Vec<&'p str>) -> Option<&Entry<T>> {
        if rest.is_empty() {
            return pick(&self.full, method);
        }
        let (segment, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let depth = values.len();
        if let Some(entry) = self.fixed(segment).and_then(|node| node.full(method, rest, values)) {
            return Some(entry);
        }
        values.truncate(depth);
        let node = self.variable.as_deref().filter(|_| !segment.is_empty())?;
        values.push(segment);
        node.full(method, rest, values)
    }

    /// The greedy route with the longest way down to it.
    fn greedy<'p>(&self, method: Option<&str>, rest: &'p str, values: &mut Vec<&'p str>) -> Option<&Entry<T>> {
        if rest.is_empty() {
            return None;
        }
        let depth = values.len();
        if let Some((segment, below)) = rest.split_once('/') {
            if let Some(entry) = self.fixed(segment).and_then(|node| node.greedy(method, below, values)) {
                return Some(entry);
            }
            values.truncate(depth);
            if let Some(node) = self.variable.as_deref().filter(|_| !segment.is_empty()) {
                values.push(segment);
                if let Some(entry) = node.greedy(method, below, values) {
                    return Some(entry);
                }
                values.truncate(depth);
            }
        }
        let entry = pick(&self.greedy, method)?;
        values.push(rest);
        Some(entry)
    }

    fn fixed(&self, segment: &str) -> Option<&Node<T>> {
        // An encoded letter must not lead past the route that its plain form leads to.
        let decoded = match segment.contains('%') {
            true => percent_encoding::percent_decode_str(segment).decode_utf8().unwrap_or(Cow::Borrowed(segment)),
            false => Cow::Borrowed(segment),
        };
        self.fixed.get(decoded.as_ref())
    }
}

impl<T> Entry<T> {
    fn replace_in(self, entries: &mut Vec<Self>) {
        entries.retain(|entry| entry.method != self.method);
        entries.push(self);
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { fixed: HashMap::new(), variable: None, full: Vec::new(), greedy: Vec::new() }
    }
}

fn pick<'a, T>(entries: &'a [Entry<T>], method: Option<&str>) -> Option<&'a Entry<T>> {
    let Some(method) = method else { return entries.first() };
    let exact = entries.iter().find(|entry| entry.method.as_deref() == Some(method));
    exact.or_else(|| entries.iter().find(|entry| entry.method.is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(keys: &[&'static str]) -> Router<&'static str> {
        Router::new(keys.iter().map(|key| (RouteKey::parse(key).unwrap(), *key)))
    }

    #[test]
    fn selects_as_aws_documents() {
        let router =
            router(&["GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "$default"]);
        for (method, path, wanted) in [
            ("GET", "/pets/dog/1", "GET /pets/dog/1"),
            ("GET", "/pets/dog/2", "GET /pets/dog/{id}"),
            ("GET", "/pets/cat/1", "GET /pets/{proxy+}"),
            ("POST", "/test/5", "ANY /{proxy+}"),
            ("POST", "/pets/dog/1", "ANY /{proxy+}"),
            ("GET", "/", "$default"),
            ("GET", "/pets/%64og/1", "GET /pets/dog/1"),
            ("GET", "/pets", "ANY /{proxy+}"),
        ] {
            assert_eq!(router.find(method, path).unwrap().route, &wanted, "{method} {path}");
        }
    }

    #[test]
    fn gives_variables_and_goes_back_where_a_static_way_ends() {
        let router = router(&["GET /a/{x}/c", "GET /{y}/b/{z}", "GET /{first}/{rest+}", "ANY /only"]);
        let found = router.find("GET", "/a/b/c").unwrap();
        assert_eq!((*found.route, found.variables), ("GET /a/{x}/c", vec![("x", "b")]));
        let found = router.find("GET", "/a/b/d").unwrap();
        assert_eq!((*found.route, found.variables), ("GET /{y}/b/{z}", vec![("y", "a"), ("z", "d")]));
        let found = router.find("GET", "/a/q/r/s").unwrap();
        assert_eq!((*found.route, found.variables), ("GET /{first}/{rest+}", vec![("first", "a"), ("rest", "q/r/s")]));
        assert_eq!(router.find("GET", "/nothing"), None);
    }

    #[test]
    fn what_is_declared_is_known_for_other_methods_too() {
        let router =
            router(&["GET /a/{x}", "POST /b/{y}/c", "GET /{first}/in/{rest+}", "ANY /{proxy+}", "GET /a/fixed"]);
        for (method, path, declared) in [
            ("GET", "/a/1", &[("x", "1")][..]),
            ("DELETE", "/a/1", &[("x", "1")]),
            ("GET", "/a/fixed", &[]),
            ("GET", "/b/2/c", &[("y", "2")]),
            ("GET", "/c/in/3/4", &[("first", "c")]),
            ("POST", "/c/in/3/4", &[]),
            ("GET", "/any/thing", &[]),
            ("GET", "/", &[]),
        ] {
            assert_eq!(router.declared(method, path), declared, "{method} {path}");
        }
        assert_eq!(self::router(&["GET /{x}", "$default"]).declared("PUT", "/1"), [("x", "1")]);
        assert_eq!(self::router(&["GET /{x}/{y+}"]).declared("PUT", "/1/2"), [("x", "1")]);
        assert_eq!(self::router(&["$default"]).declared("PUT", "/1"), []);
    }

    #[test]
    fn a_method_beats_any_and_the_last_equal_route_stays() {
        let router = router(&["ANY /x", "GET /x", "GET /x/{a}", "GET /x/{b}"]);
        assert_eq!(router.find("GET", "/x").unwrap().route, &"GET /x");
        assert_eq!(router.find("PUT", "/x").unwrap().route, &"ANY /x");
        assert_eq!(router.find("GET", "/x/1").unwrap().variables, [("b", "1")]);
    }
}
