//! What a domain wants recorded of its requests, and how surely.

/// What the tags of a domain say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Recording {
    /// `countersign:records`
    pub records: Records,
    /// `countersign:log-paths`
    pub paths: LogPaths,
    /// `countersign:trace=on`: a trace is begun where the client has begun none.
    pub begins_traces: bool,
}

/// How surely requests are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Records {
    /// The first to be dropped when the disk is behind.
    BestEffort,
    /// On disk soon after.
    #[default]
    Durable,
    /// On disk before a request is forwarded, which it is not where that cannot be.
    Required,
}

/// How paths of requests are recorded. Queries never are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LogPaths {
    /// Of a segment that a route declares as a variable, with the name of that.
    #[default]
    Redacted,
    /// As they were sent.
    Full,
}

impl Records {
    /// What may be given.
    pub const VALUES: &str = "best-effort, durable, required";

    pub(crate) fn parse(value: &str) -> Option<Self> {
        Some(match value {
            "best-effort" => Self::BestEffort,
            "durable" => Self::Durable,
            "required" => Self::Required,
            _ => return None,
        })
    }
}

impl LogPaths {
    /// What may be given.
    pub const VALUES: &str = "redacted, full";

    pub(crate) fn parse(value: &str) -> Option<Self> {
        Some(match value {
            "redacted" => Self::Redacted,
            "full" => Self::Full,
            _ => return None,
        })
    }
}
