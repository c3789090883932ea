//! One TLS connection, from the moment it was accepted to its end.

mod alb;

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use trust::UnixSeconds;

use super::{Client, Truststore, is_zero};

/// One TLS connection, also where it came to no request, or its handshake to no end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionRecord<'a> {
    /// When it is recorded, that is when it ends, in milliseconds since 1970-01-01T00:00:00Z.
    pub time_ms: i64,
    /// When it was accepted.
    pub began_ms: i64,
    /// Its own id, which the records of its requests name.
    pub id: Cow<'a, str>,
    /// The client's address and port.
    pub source: SocketAddr,
    /// Address and port that it came to.
    pub local: SocketAddr,
    /// The name in its ClientHello (SNI), lowercase; empty where there was none. What no host name can have is not kept.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub server_name: Cow<'a, str>,
    /// The domain that answers for it; empty where there is none.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub domain: Cow<'a, str>,
    /// `TLSv1.3`; empty, as all that follows of TLS, where the handshake did not come so far.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub protocol: Cow<'a, str>,
    /// IANA's name of the cipher suite.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub cipher: Cow<'a, str>,
    /// IANA's name of the group in which keys were agreed upon: `X25519MLKEM768`.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub key_exchange: Cow<'a, str>,
    /// `h2`, `http/1.1`
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub alpn: Cow<'a, str>,
    /// Whether it continues an earlier session.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
    /// Microseconds from the accepted connection to the end of its handshake; none where that did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake_us: Option<u64>,
    /// Certificate that the client sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Client<'a>>,
    /// Of that certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Validity>,
    /// Why the client was not trusted, when it was looked at last; none: it was, or nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<trust::Code>,
    /// Truststore that was enforced when it was looked at last; none: nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truststore: Option<Truststore<'a>>,
    /// Revision of the settings that were enforced then.
    pub revision: u64,
    /// Bytes that came from the client, of its requests: without those of TLS.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_in: u64,
    /// Bytes that went to the client, of the answers.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_out: u64,
    /// Requests of which a head came.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub requests: u64,
    /// How it ended.
    pub end: End,
    /// More about that; empty where there is no more to say.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Cow<'a, str>,
}

/// From when until when a certificate is valid, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub not_before: UnixSeconds,
    /// The same.
    pub not_after: UnixSeconds,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The client ended it.
    ClientClosed,
    /// The gateway ended it with an answer: the client asked for that, or what it had sent leaves no other way.
    Answered,
    /// The client asked for nothing for too long.
    Idle,
    /// The client was not trusted when its handshake ended.
    Refused,
    /// The client was trusted, and is no more.
    NoLongerTrusted,
    /// Its domain is no more.
    DomainGone,
    /// The gateway stopped.
    Drained,
    /// A request's head, its payload or the answer did not move for too long.
    Timeout,
    /// It took back too many of its requests.
    ResetFlood,
    /// It broke.
    Broken,
    /// No domain has its server name.
    UnknownName,
    /// The client's bytes were no TLS that is spoken here, or it did not want our certificate.
    HandshakeFailed,
    /// The handshake took too long.
    HandshakeTimeout,
    /// The domain cannot be served: its certificate or key is unusable.
    Unservable,
    /// It was ended in the middle, as the process was.
    Cut,
}

impl End {
    /// Every one, in the order in which they are declared.
    pub const ALL: &[Self] = &[
        Self::ClientClosed,
        Self::Answered,
        Self::Idle,
        Self::Refused,
        Self::NoLongerTrusted,
        Self::DomainGone,
        Self::Drained,
        Self::Timeout,
        Self::ResetFlood,
        Self::Broken,
        Self::UnknownName,
        Self::HandshakeFailed,
        Self::HandshakeTimeout,
        Self::Unservable,
        Self::Cut,
    ];

    /// The name, as records carry it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientClosed => "client-closed",
            Self::Answered => "answered",
            Self::Idle => "idle",
            Self::Refused => "refused",
            Self::NoLongerTrusted => "no-longer-trusted",
            Self::DomainGone => "domain-gone",
            Self::Drained => "drained",
            Self::Timeout => "timeout",
            Self::ResetFlood => "reset-flood",
            Self::Broken => "broken",
            Self::UnknownName => "unknown-name",
            Self::HandshakeFailed => "handshake-failed",
            Self::HandshakeTimeout => "handshake-timeout",
            Self::Unservable => "unservable",
            Self::Cut => "cut",
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Record;
    use super::super::tests::{client, truststore, written};
    use super::*;

    pub(in super::super) fn least() -> ConnectionRecord<'static> {
        let json = r#"{"time_ms":2,"began_ms":1,"id":"c","source":"192.0.2.1:36280","local":"[::1]:443","revision":0,
            "end":"handshake-failed"}"#;
        serde_json::from_str(json).unwrap()
    }

    pub(super) fn most() -> ConnectionRecord<'static> {
        ConnectionRecord {
            time_ms: 1_696_439_115_900,
            began_ms: 1_696_439_111_478,
            id: "Mc7UVioPPHcEKPA=".into(),
            server_name: "api.example.com".into(),
            domain: "*.example.com".into(),
            protocol: "TLSv1.2".into(),
            cipher: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".into(),
            key_exchange: "X25519".into(),
            alpn: "h2".into(),
            resumed: true,
            handshake_us: Some(4_036_108),
            client: Some(client()),
            validity: Some(Validity { not_before: 1_695_336_201, not_after: 1_781_736_201 }),
            verdict: Some(trust::Code::ClientCertExpired),
            truststore: Some(truststore()),
            bytes_in: 1,
            bytes_out: 2,
            requests: 3,
            end: End::NoLongerTrusted,
            reason: "r".into(),
            ..least()
        }
    }

    #[test]
    fn it_comes_back() {
        for record in [least(), most()] {
            let (written, _) = written(&Record::Connection(&record));
            assert_eq!(serde_json::from_str::<ConnectionRecord<'_>>(&written).unwrap(), record);
        }
    }

    #[test]
    fn ends_have_one_name() {
        for &end in End::ALL {
            assert_eq!(serde_json::to_value(end).unwrap(), end.as_str());
        }
    }
}
