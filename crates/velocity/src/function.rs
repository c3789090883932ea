//! The functions of `$input` and `$util`.

use data_encoding::BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// A function of `$input`, `$input.body` among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputFunction {
    Body,
    Json,
    Params,
    Path,
}

/// A function of `$util`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UtilFunction {
    Base64Decode,
    Base64Encode,
    EscapeJavaScript,
    ParseJson,
    UrlDecode,
    UrlEncode,
}

/// What `java.net.URLEncoder` leaves as it is; a blank becomes a plus sign.
const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b' ');

impl InputFunction {
    /// With how many arguments it is called.
    pub(crate) fn find(name: &str) -> Option<(Self, std::ops::RangeInclusive<usize>)> {
        Some(match name {
            "json" => (Self::Json, 1..=1),
            "params" => (Self::Params, 0..=1),
            "path" => (Self::Path, 1..=1),
            _ => return None,
        })
    }
}

impl UtilFunction {
    /// All of them take one argument.
    pub(crate) fn find(name: &str) -> Option<Self> {
        Some(match name {
            "base64Decode" => Self::Base64Decode,
            "base64Encode" => Self::Base64Encode,
            "escapeJavaScript" => Self::EscapeJavaScript,
            "parseJson" => Self::ParseJson,
            "urlDecode" => Self::UrlDecode,
            "urlEncode" => Self::UrlEncode,
            _ => return None,
        })
    }

    /// Of texts alone. `None`: the text is none that it can be applied to.
    pub(crate) fn of_text(self, text: &str) -> Option<String> {
        Some(match self {
            Self::Base64Decode => {
                let bytes = BASE64.decode(text.trim_end().as_bytes()).ok()?;
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Self::Base64Encode => BASE64.encode(text.as_bytes()),
            Self::EscapeJavaScript => escape_java_script(text),
            Self::UrlDecode => percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned(),
            Self::UrlEncode => utf8_percent_encode(text, URL).to_string().replace(' ', "+"),
            Self::ParseJson => return None,
        })
    }
}

/// As `StringEscapeUtils.escapeJavaScript` of Apache Commons Lang 2: quotes of both kinds, slashes, and all that is not ASCII.
fn escape_java_script(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' | '/' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (function, text, wanted) in [
            (UtilFunction::EscapeJavaScript, "a\"b'c\\d/e\n\u{e9}\u{1f600}", r#"a\"b\'c\\d\/e\n\u00E9\uD83D\uDE00"#),
            (UtilFunction::UrlEncode, "a b&c/d~*", "a+b%26c%2Fd%7E*"),
            (UtilFunction::UrlDecode, "a+b%26c%C3%A9", "a b&c\u{e9}"),
            (UtilFunction::Base64Encode, "h\u{e9}", "aMOp"),
            (UtilFunction::Base64Decode, "aMOp", "h\u{e9}"),
        ] {
            assert_eq!(function.of_text(text).unwrap(), wanted);
        }
        assert_eq!(UtilFunction::Base64Decode.of_text("?"), None);
    }
}
