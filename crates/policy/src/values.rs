//! Values as Cedar takes them.

use std::net::IpAddr;

use cedar_policy::RestrictedExpression;
use time::OffsetDateTime;
use time::macros::format_description;

pub(crate) fn text(text: impl Into<String>) -> RestrictedExpression {
    RestrictedExpression::new_string(text.into())
}

pub(crate) fn set<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.into_iter().map(text))
}

/// Cedar takes no IPv6 address with an IPv4 address written in it, as some print.
pub(crate) fn address(address: IpAddr) -> RestrictedExpression {
    RestrictedExpression::new_ip(match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => v6.segments().map(|part| format!("{part:x}")).join(":"),
    })
}

/// To the second. What is beyond the years that Cedar knows is the last, or the first, that it does.
pub(crate) fn datetime(unix_seconds: i64) -> RestrictedExpression {
    const FIRST: i64 = -62_167_219_200;
    const LAST: i64 = 253_402_300_799;
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let at = OffsetDateTime::from_unix_timestamp(unix_seconds.clamp(FIRST, LAST));
    let text = at.ok().and_then(|at| at.format(form).ok());
    RestrictedExpression::new_datetime(text.unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned()))
}

#[cfg(test)]
mod tests {
    use cedar_policy::Context;

    use super::*;

    fn is_read(value: RestrictedExpression) -> String {
        let context = Context::from_pairs([("value".to_owned(), value)]);
        format!("{:?}", context.unwrap().get("value").unwrap())
    }

    #[test]
    fn every_address_and_time_is_one_that_cedar_takes() {
        for (given, read) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::192.0.2.1", "0:0:0:0:0:0:c000:201"),
            ("::", "0:0:0:0:0:0:0:0"),
            ("2001:db8::1", "2001:db8:0:0:0:0:0:1"),
        ] {
            assert!(is_read(address(given.parse().unwrap())).contains(&format!("\"{read}\\")), "{given}");
        }
        for at in [i64::MIN, -62_167_219_200, -1, 0, 1_790_000_000, 253_402_300_799, i64::MAX] {
            assert!(is_read(datetime(at)).contains("datetime"), "{at}");
        }
    }
}
