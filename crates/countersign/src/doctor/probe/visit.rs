//! One connection, and how it ended.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::{AlertDescription, HandshakeKind, NamedGroup, ProtocolVersion};
use rustls_pki_types::ServerName;

use super::connection::CertificateRequest;

/// Certificates of a server's chain that are looked at.
pub(super) const MAX_CHAIN: usize = 20;

/// What was seen on one connection.
#[derive(Debug)]
pub(in crate::doctor) struct Visit {
    /// What the server showed, DER, as far as it came.
    pub(in crate::doctor) chain: Vec<Vec<u8>>,
    /// What it said when it asked for a certificate.
    pub(in crate::doctor) request: Option<CertificateRequest>,
    /// None: it did not come to its end.
    pub(in crate::doctor) handshake: Option<Handshake>,
    pub(in crate::doctor) ended: Ended,
    /// For resumption.
    pub(in crate::doctor) session: Arc<Session>,
}

/// A handshake that came to its end.
#[derive(Clone, Debug)]
pub(in crate::doctor) struct Handshake {
    pub(in crate::doctor) version: ProtocolVersion,
    pub(in crate::doctor) cipher: String,
    pub(in crate::doctor) group: Option<NamedGroup>,
    pub(in crate::doctor) alpn: Option<String>,
    pub(in crate::doctor) resumed: bool,
}

/// How a connection ended.
#[derive(Clone, Debug)]
pub(in crate::doctor) enum Ended {
    /// By us, the handshake being all that was wanted.
    Enough,
    Answered(Answer),
    Alert(AlertDescription),
    /// TCP reset.
    Reset,
    /// End of stream without an answer.
    Closed,
    TimedOut,
    /// No connection: the system's words.
    Unreachable(String),
    /// What was sent is no TLS.
    NotTls,
    /// TLS that cannot be agreed on, or that breaks its rules: rustls' words.
    Tls(String),
    /// Nothing was tried: too many connections, or too much time.
    NotTried,
}

/// An answer in HTTP/1.1, as far as it is looked at.
#[derive(Clone, Debug)]
pub(in crate::doctor) struct Answer {
    pub(in crate::doctor) status: u16,
    /// Names in lowercase.
    pub(in crate::doctor) headers: Vec<(String, String)>,
    /// Its beginning.
    pub(in crate::doctor) body: String,
}

impl Visit {
    /// The server refused this client: by an alert or by ending the connection, or with an answer that says so.
    pub(in crate::doctor) fn is_refused(&self) -> bool {
        match &self.ended {
            Ended::Answered(answer) => answer.is_refusal(),
            Ended::Alert(_) | Ended::Reset | Ended::Closed => true,
            Ended::Enough
            | Ended::TimedOut
            | Ended::Unreachable(_)
            | Ended::NotTls
            | Ended::Tls(_)
            | Ended::NotTried => false,
        }
    }

    /// The request went through to what is behind.
    pub(in crate::doctor) fn is_served(&self) -> bool {
        self.answer().is_some_and(|answer| !answer.is_refusal())
    }

    /// The same of a client whose certificate was asked for.
    pub(in crate::doctor) fn is_let_in(&self) -> bool {
        self.request.is_some() && self.is_served()
    }

    pub(in crate::doctor) fn answer(&self) -> Option<&Answer> {
        match &self.ended {
            Ended::Answered(answer) => Some(answer),
            _ => None,
        }
    }

    pub(in crate::doctor) fn alert(&self) -> Option<AlertDescription> {
        match self.ended {
            Ended::Alert(alert) => Some(alert),
            _ => None,
        }
    }

    pub(in crate::doctor) fn is_resumed(&self) -> bool {
        self.handshake.as_ref().is_some_and(|handshake| handshake.resumed)
    }
}

impl Answer {
    /// 400, 401 and 403 are what servers answer for want of a certificate; 421 is about the name; nginx has numbers of its own.
    pub(in crate::doctor) fn is_refusal(&self) -> bool {
        matches!(self.status, 400 | 401 | 403 | 421 | 495 | 496 | 497)
    }

    pub(in crate::doctor) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Ended {
    /// Somebody is there who answers, be it with an alert.
    pub(in crate::doctor) fn is_reachable(&self) -> bool {
        !matches!(self, Self::Unreachable(_) | Self::TimedOut)
    }

    /// For people, as the end of "the server …".
    pub(in crate::doctor) fn words(&self) -> String {
        match self {
            Self::Enough => "completed the handshake".to_owned(),
            Self::Answered(answer) => match answer.body.trim() {
                "" => format!("answered {}", answer.status),
                body => format!("answered {}: {}", answer.status, excerpt(body)),
            },
            Self::Alert(alert) => format!("sent the TLS alert {}", alert_name(*alert)),
            Self::Reset => "reset the connection".to_owned(),
            Self::Closed => "closed the connection without an answer".to_owned(),
            Self::TimedOut => "did not answer in time".to_owned(),
            Self::Unreachable(why) => format!("could not be connected to: {why}"),
            Self::NotTls => "did not speak TLS".to_owned(),
            Self::Tls(why) => format!("did not complete the handshake: {why}"),
            Self::NotTried => "was not asked".to_owned(),
        }
    }
}

/// As RFC 8446 spells it.
pub(in crate::doctor) fn alert_name(alert: AlertDescription) -> String {
    let mut name = String::new();
    for (place, c) in format!("{alert:?}").chars().enumerate() {
        if c.is_ascii_uppercase() && place > 0 {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name.replace("_c_a", "_ca").replace("_p_s_k_", "_psk_").replace("unrecognised", "unrecognized")
}

/// One line of an answer's body, without its tags.
fn excerpt(body: &str) -> String {
    const MAX_CHARS: usize = 160;
    let mut text = String::new();
    let mut in_tag = false;
    for c in body.chars() {
        match c {
            '<' => in_tag = true,
            '>' => {
                in_tag = false;
                text.push(' ');
            }
            c if !in_tag => text.push(if c.is_control() { ' ' } else { c }),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_CHARS).collect()
}

impl Handshake {
    pub(super) fn of(connection: &rustls::ClientConnection) -> Option<Self> {
        Some(Self {
            version: connection.protocol_version()?,
            cipher: connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()))?,
            group: connection.negotiated_key_exchange_group().map(|group| group.name()),
            alpn: connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }
}

/// A session that is kept whatever the server's name is, so that it can be tried under another.
#[derive(Debug, Default)]
pub(in crate::doctor) struct Session(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    tls12: Option<Tls12ClientSessionValue>,
    tls13: Option<Tls13ClientSessionValue>,
}

impl Session {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_empty(&self) -> bool {
        let kept = self.kept();
        kept.tls12.is_none() && kept.tls13.is_none()
    }
}

impl ClientSessionStore for Session {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.kept().tls12 = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.kept().tls12.clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.kept().tls12 = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.kept().tls13 = Some(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.kept().tls13.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_named_as_the_rfc_does() {
        assert_eq!(alert_name(AlertDescription::UnknownCA), "unknown_ca");
        assert_eq!(alert_name(AlertDescription::CertificateRequired), "certificate_required");
        assert_eq!(alert_name(AlertDescription::UnrecognisedName), "unrecognized_name");
    }

    #[test]
    fn bodies_become_one_line() {
        let html = "<html>\r\n<head><title>400 No required SSL certificate was sent</title></head>\r\n<body>x\u{1b}[2J";
        assert_eq!(excerpt(html), "400 No required SSL certificate was sent x [2J");
    }
}
