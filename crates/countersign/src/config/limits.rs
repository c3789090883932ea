//! `[limits]`: every bound of the data plane, with its unit in its name.

use std::time::Duration;

use serde::Deserialize;

/// What strangers can take. Each is a whole number; what it means stands at the field of [`edge::Limits`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    handshake_timeout_seconds: u64,
    header_timeout_seconds: u64,
    idle_timeout_seconds: u64,
    stall_timeout_seconds: u64,
    header_bytes: u64,
    body_bytes: u64,
    connections: u64,
    connections_per_address: u64,
    http2_streams: u64,
    http2_resets: u64,
    refusal_records: u64,
    refusal_records_per_network: u64,
}

/// More than four million seconds or gigabytes is a slip of the pen, and would not fit everywhere.
const MOST: u64 = u32::MAX as u64;

impl Limits {
    /// What is wrong with them, for a person.
    pub(super) fn check(&self) -> Result<(), String> {
        for (name, value, least) in [
            ("handshake_timeout_seconds", self.handshake_timeout_seconds, 1),
            ("header_timeout_seconds", self.header_timeout_seconds, 1),
            ("idle_timeout_seconds", self.idle_timeout_seconds, 1),
            ("stall_timeout_seconds", self.stall_timeout_seconds, 1),
            // A cookie and a token have to fit.
            ("header_bytes", self.header_bytes, 1024),
            ("body_bytes", self.body_bytes, 0),
            ("connections", self.connections, 1),
            ("connections_per_address", self.connections_per_address, 1),
            ("http2_streams", self.http2_streams, 1),
            ("http2_resets", self.http2_resets, 1),
            ("refusal_records", self.refusal_records, 0),
            ("refusal_records_per_network", self.refusal_records_per_network, 0),
        ] {
            if value < least {
                return Err(format!("limits.{name} is {value}; it has to be {least} at least"));
            }
            if value > MOST {
                return Err(format!("limits.{name} is {value}; it can be {MOST} at most"));
            }
        }
        Ok(())
    }

    /// As the data plane takes them. Those that [`Self::check`] found good fit.
    pub(crate) fn edge(&self) -> edge::Limits {
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        edge::Limits {
            handshake_timeout: Duration::from_secs(self.handshake_timeout_seconds),
            header_timeout: Duration::from_secs(self.header_timeout_seconds),
            idle_timeout: Duration::from_secs(self.idle_timeout_seconds),
            stall_timeout: Duration::from_secs(self.stall_timeout_seconds),
            header_bytes: size(self.header_bytes),
            body_bytes: self.body_bytes,
            connections: size(self.connections),
            connections_per_address: small(self.connections_per_address),
            http2_streams: small(self.http2_streams),
            http2_resets: small(self.http2_resets),
            refusal_records: small(self.refusal_records),
            refusal_records_per_network: small(self.refusal_records_per_network),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let edge::Limits {
            handshake_timeout,
            header_timeout,
            idle_timeout,
            stall_timeout,
            header_bytes,
            body_bytes,
            connections,
            connections_per_address,
            http2_streams,
            http2_resets,
            refusal_records,
            refusal_records_per_network,
        } = edge::Limits::default();
        Self {
            handshake_timeout_seconds: handshake_timeout.as_secs(),
            header_timeout_seconds: header_timeout.as_secs(),
            idle_timeout_seconds: idle_timeout.as_secs(),
            stall_timeout_seconds: stall_timeout.as_secs(),
            header_bytes: header_bytes as u64,
            body_bytes,
            connections: connections as u64,
            connections_per_address: connections_per_address.into(),
            http2_streams: http2_streams.into(),
            http2_resets: http2_resets.into(),
            refusal_records: refusal_records.into(),
            refusal_records_per_network: refusal_records_per_network.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_data_planes_own() {
        assert_eq!(Limits::default().edge(), edge::Limits::default());
        assert_eq!(Limits::default().check(), Ok(()));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let large = Limits { body_bytes: MOST + 1, ..Limits::default() };
        assert!(large.check().unwrap_err().contains("limits.body_bytes"));
        let none = Limits { http2_streams: 0, ..Limits::default() };
        assert!(none.check().unwrap_err().contains("limits.http2_streams"));
    }
}
