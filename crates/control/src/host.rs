//! Which names this server answers to. A page in a browser can make a name of its own resolve to a private address (DNS
//! rebinding) and then talk to us as if to its own server; what it cannot do is to send another `Host`.

use std::net::IpAddr;

use http::Uri;
use http::header::HOST;
use http::request::Parts;

/// What the name of a request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// This server.
    Server,
    /// A bucket of it (S3's virtual-host style).
    Bucket,
}

/// Reads the host of a request; `None`: it is missing, doubled, malformed or not ours. `names` are lowercase.
pub(crate) fn named(parts: &Parts, names: &[String]) -> Option<Named> {
    let name = host_name(parts)?;
    // An address needs no name service, so it cannot be rebound.
    if name.parse::<IpAddr>().is_ok() || name.strip_prefix('[').is_some_and(|v6| v6.ends_with(']')) {
        return Some(Named::Server);
    }
    std::iter::once("localhost").chain(names.iter().map(String::as_str)).find_map(|own| {
        let before = name.strip_suffix(own)?;
        match before.strip_suffix('.') {
            None => before.is_empty().then_some(Named::Server),
            Some("s3") => Some(Named::Server),
            Some(bucket) => (!bucket.is_empty()).then_some(Named::Bucket),
        }
    })
}

/// Without port, lowercase. `Host` and the request target's authority must agree where both are there.
fn host_name(parts: &Parts) -> Option<String> {
    let mut headers = parts.headers.get_all(HOST).iter();
    let (first, second) = (headers.next(), headers.next());
    if second.is_some() {
        return None;
    }
    let of_header = first.map(|value| authority(value.to_str().ok()?)).map_or(Some(None), |name| name.map(Some))?;
    let of_target = parts.uri.authority().map(|authority| authority.host().to_ascii_lowercase());
    match (of_header, of_target) {
        (Some(header), Some(target)) => (header == target).then_some(header),
        (header, target) => header.or(target),
    }
}

fn authority(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    (!authority.as_str().contains('@')).then(|| authority.host().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn of(host: &[&str], uri: &str) -> Option<Named> {
        let mut request = Request::builder().uri(uri);
        for host in host {
            request = request.header("host", *host);
        }
        named(&request.body(()).unwrap().into_parts().0, &["gate.example.com".to_owned()])
    }

    #[test]
    fn own_names_and_addresses_are_taken() {
        for (host, named) in [
            ("127.0.0.1:4566", Named::Server),
            ("[::1]:4566", Named::Server),
            ("LOCALHOST", Named::Server),
            ("gate.example.com:1", Named::Server),
            ("s3.localhost:4566", Named::Server),
            ("your-bucket.localhost:4566", Named::Bucket),
            ("your.bucket.s3.localhost", Named::Bucket),
            ("b.gate.example.com", Named::Bucket),
        ] {
            assert_eq!(of(&[host], "/"), Some(named), "{host}");
        }
        assert_eq!(of(&[], "http://localhost/"), Some(Named::Server));
    }

    #[test]
    fn all_else_is_refused() {
        for hosts in [
            &["evil.example"][..],
            &["notlocalhost"],
            &["localhost.evil.example"],
            &[".localhost"],
            &["u@localhost"],
            &["localhost", "localhost"],
            &[""],
            &["local host"],
            &[],
        ] {
            assert_eq!(of(hosts, "/"), None, "{hosts:?}");
        }
        assert_eq!(of(&["localhost"], "http://127.0.0.1/"), None, "they disagree");
    }
}
