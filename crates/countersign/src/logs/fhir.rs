//! Records of requests as FHIR R4 AuditEvents, by IHE's Basic Audit Log Patterns (BALP 1.1.4, <https://profiles.ihe.net/ITI/BALP/>).
//!
//! What succeeded claims the profile of its interaction. BALP's profiles are of successes only: what failed has the same shape, claims
//! none, and carries an OperationOutcome. A client that was not trusted is a failed node authentication (DICOM PS3.15 A.5.3.11,
//! IHE ITI-20).

use data_encoding::BASE64;
use journal::AccessRecord;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const PROFILES: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.";
const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const INTERACTIONS: &str = "http://hl7.org/fhir/restful-interaction";
const ENTITY_TYPES: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const ROLES: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const CUSTODIANS: &str = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";

/// What a request asks of a FHIR server (<https://hl7.org/fhir/R4/http.html>).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Interaction<'a> {
    /// Code of `restful-interaction`.
    code: &'static str,
    /// Of a type of resources, if so.
    resource: Option<&'a str>,
    /// Of one of them: none where the record does not say which.
    id: Option<&'a str>,
}

/// The AuditEvent of a request that came to a domain.
pub(crate) fn audit_event(record: &AccessRecord<'_>) -> Value {
    let interaction = Interaction::of(&record.method, &record.path);
    let nanos = i128::from(record.time_ms) * 1_000_000;
    let recorded = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok().and_then(|time| time.format(&Rfc3339).ok());
    let refused = record.refusal.is_some();
    let failure = failure(record);
    let mut event = json!({
        "resourceType": "AuditEvent",
        "type": match refused {
            true => coding(DCM, "110113", "Security Alert"),
            false => coding("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "Restful Operation"),
        },
        "subtype": [match refused {
            true => coding(DCM, "110126", "Node Authentication"),
            false => coding(INTERACTIONS, interaction.code, interaction.code),
        }],
        "action": if refused { "E" } else { interaction.action() },
        "recorded": recorded,
        "outcome": failure.as_ref().map_or("0", |failure| failure.outcome),
        "agent": agents(record, &interaction),
        "source": {
            "site": record.domain,
            "observer": {"display": "countersign"},
            "type": [coding("http://terminology.hl7.org/CodeSystem/security-source-type", "3", "Web Server")],
        },
        "entity": entities(record, &interaction, refused),
    });
    match failure {
        None => {
            if let Some(profile) = interaction.profile() {
                event["meta"] = json!({"profile": [format!("{PROFILES}{profile}")]});
            }
        }
        Some(Failure { code, text, .. }) => {
            event["outcomeDesc"] = json!(text);
            let issue = json!({"severity": "error", "code": code, "diagnostics": text});
            event["contained"] = json!([{"resourceType": "OperationOutcome", "id": "outcome", "issue": [issue]}]);
            let outcome = json!({"what": {"reference": "#outcome"}, "type": coding(ENTITY_TYPES, "2", "System Object"),
                "role": coding(ROLES, "3", "Report")});
            if let Some(entities) = event["entity"].as_array_mut() {
                entities.push(outcome);
            }
        }
    }
    event
}

impl<'a> Interaction<'a> {
    /// Of a path that leads to a FHIR server: the first segment that may be the name of a type of resources ends its base.
    fn of(method: &str, path: &'a str) -> Self {
        let mut segments = path.split('/').skip_while(|segment| !is_type(segment));
        let resource = segments.next();
        let rest: Vec<&str> = segments.filter(|segment| !segment.is_empty()).collect();
        let last = path.rsplit('/').find(|segment| !segment.is_empty()).unwrap_or_default();
        if last.starts_with('$') {
            return Self { code: "operation", resource, id: None };
        }
        let Some(resource) = resource else {
            let code = match (method, last) {
                ("GET" | "HEAD", "metadata") => "capabilities",
                ("GET" | "HEAD", "_history") => "history-system",
                ("POST", "_search") | ("GET" | "HEAD", _) => "search-system",
                _ => "transaction",
            };
            return Self { code, resource: None, id: None };
        };
        let (code, id) = match (method, &rest[..]) {
            ("POST", []) => ("create", None),
            ("GET" | "HEAD", []) | ("POST", ["_search"]) => ("search-type", None),
            ("GET" | "HEAD", ["_history"]) => ("history-type", None),
            ("GET" | "HEAD", [id]) => ("read", Some(*id)),
            ("GET" | "HEAD", [id, "_history"]) => ("history-instance", Some(*id)),
            ("GET" | "HEAD", [id, "_history", _]) => ("vread", Some(*id)),
            ("PUT", [id]) => ("update", Some(*id)),
            ("PATCH", [id]) => ("patch", Some(*id)),
            ("DELETE", [id]) => ("delete", Some(*id)),
            ("GET" | "HEAD", [id, ..]) => ("search-type", Some(*id)),
            _ => ("operation", None),
        };
        Self { code, resource: Some(resource), id: id.filter(|id| is_id(id)) }
    }

    /// Of `audit-event-action`.
    fn action(&self) -> &'static str {
        match self.code {
            "create" => "C",
            "read" | "vread" | "history-instance" | "history-type" | "history-system" | "capabilities" => "R",
            "update" | "patch" => "U",
            "delete" => "D",
            _ => "E",
        }
    }

    /// The end of its profile's name.
    fn profile(&self) -> Option<String> {
        let name = match self.code {
            "create" => "Create",
            "read" | "vread" => "Read",
            "update" | "patch" => "Update",
            "delete" => "Delete",
            "search-type" | "search-system" => "Query",
            _ => return None,
        };
        Some(format!("{}{name}", if self.patient().is_some() { "Patient" } else { "" }))
    }

    fn is_query(&self) -> bool {
        matches!(self.code, "search-type" | "search-system")
    }

    /// The patient that it is known to be about.
    fn patient(&self) -> Option<&'a str> {
        self.id.filter(|_| self.resource == Some("Patient") && !self.is_query())
    }

    /// Types of the client and the server as agents. In a read, data flows from the server; in all else from the client.
    fn agents(&self) -> (Value, Value) {
        let source = || coding(DCM, "110153", "Source Role ID");
        let destination = || coding(DCM, "110152", "Destination Role ID");
        match self.code {
            "read" | "vread" => (destination(), source()),
            "delete" => (coding(DCM, "110150", "Application"), coding(CUSTODIANS, "custodian", "Custodian")),
            _ => (source(), destination()),
        }
    }
}

fn agents(record: &AccessRecord<'_>, interaction: &Interaction<'_>) -> Value {
    let (client, server) = match record.refusal {
        None => interaction.agents(),
        Some(_) => (coding(DCM, "110153", "Source Role ID"), coding(DCM, "110152", "Destination Role ID")),
    };
    let who = match &record.client {
        None => json!({"display": "a client without a certificate"}),
        Some(client) => json!({
            "identifier": {"type": {"text": "SHA-256 of the X.509 certificate"}, "value": client.fingerprint},
            "display": client.subject,
        }),
    };
    json!([
        {"type": {"coding": [client]}, "who": who, "requestor": true,
            "network": {"address": record.source.ip().to_canonical().to_string(), "type": "2"}},
        {"type": {"coding": [server]}, "who": {"display": record.domain}, "requestor": false,
            "network": {"address": record.domain, "type": "1"}},
    ])
}

fn entities(record: &AccessRecord<'_>, interaction: &Interaction<'_>, refused: bool) -> Value {
    let system = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";
    let transaction =
        json!({"what": {"identifier": {"value": record.request_id}}, "type": {"system": system, "code": "XrequestId"}});
    let object = || coding(ENTITY_TYPES, "2", "System Object");
    let mut entities = vec![transaction];
    if refused {
        return Value::Array(entities);
    }
    if interaction.is_query() {
        // The query string is not recorded, so what is given is what is.
        let query = BASE64.encode(format!("{} {}", record.method, record.path).as_bytes());
        entities.push(json!({"type": object(), "role": coding(ROLES, "24", "Query"), "query": query}));
        return Value::Array(entities);
    }
    let what = match (interaction.resource, interaction.id) {
        (Some(resource), Some(id)) => json!({"reference": format!("{resource}/{id}")}),
        (Some(resource), None) => json!({"type": resource, "display": record.path}),
        (None, _) => json!({"display": record.path}),
    };
    entities.push(json!({"what": what, "type": object(), "role": coding(ROLES, "4", "Domain Resource")}));
    if let Some(id) = interaction.patient() {
        entities
            .push(json!({"what": {"reference": format!("Patient/{id}")}, "type": coding(ENTITY_TYPES, "1", "Person"),
            "role": coding(ROLES, "1", "Patient")}));
    }
    Value::Array(entities)
}

/// Why a request did not succeed.
struct Failure {
    /// Of `audit-event-outcome`: 4 for the client's faults, 8 for ours.
    outcome: &'static str,
    /// Of `issue-type`.
    code: &'static str,
    text: String,
}

fn failure(record: &AccessRecord<'_>) -> Option<Failure> {
    if let Some(refusal) = &record.refusal {
        let text = format!("{:?}: {}", refusal.code, refusal.detail);
        return Some(Failure { outcome: "4", code: "login", text });
    }
    let outcome = match record.status {
        100..400 => return None,
        400..500 => "4",
        _ => "8",
    };
    let code = match record.status {
        401 => "login",
        403 => "forbidden",
        404 => "not-found",
        410 => "deleted",
        409 | 412 => "conflict",
        413 => "too-long",
        429 => "throttled",
        400..500 => "processing",
        504 => "timeout",
        _ => "exception",
    };
    let text = match &record.denial {
        Some(denial) => format!("{}: {}", denial.code, denial.detail),
        None => format!("HTTP status {}", record.status),
    };
    Some(Failure { outcome, code, text })
}

fn coding(system: &str, code: &str, display: &str) -> Value {
    json!({"system": system, "code": code, "display": display})
}

/// Whether this may be the name of a type of resources.
fn is_type(segment: &str) -> bool {
    segment.len() >= 4
        && segment.starts_with(|c: char| c.is_ascii_uppercase())
        && segment.bytes().all(|b| b.is_ascii_alphabetic())
}

/// Whether this may be the id of a resource (FHIR R4, `id`): what is kept out of records is not.
fn is_id(segment: &str) -> bool {
    segment.len() <= 64 && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

#[cfg(test)]
mod tests {
    use journal::{Client, Denial, Refusal};

    use super::*;

    fn record(method: &'static str, path: &'static str, status: u16) -> AccessRecord<'static> {
        let json = r#"{"time_ms":1796025600123,"request_id":"Mc7UVioPPHcEKPA=","domain":"fhir.example.com","status":0,"revision":1,
            "source":"[::ffff:192.0.2.1]:5"}"#;
        let client = Client {
            subject: "CN=ehr.partner.example".into(),
            issuer: "CN=CA".into(),
            serial: "1".into(),
            fingerprint: "ab".repeat(32).into(),
        };
        let record: AccessRecord<'static> = serde_json::from_str(json).unwrap();
        AccessRecord { method: method.into(), path: path.into(), status, client: Some(client), ..record }
    }

    #[test]
    fn interactions() {
        let table = [
            ("GET", "/fhir/Patient/17", "read", "R", Some("PatientRead")),
            ("GET", "/fhir/Patient/{id}", "read", "R", Some("Read")),
            ("GET", "/r4/Observation/17/_history/2", "vread", "R", Some("Read")),
            ("GET", "/Observation/17/_history", "history-instance", "R", None),
            ("GET", "/Observation", "search-type", "E", Some("Query")),
            ("GET", "/Patient/17/Observation", "search-type", "E", Some("Query")),
            ("POST", "/Observation/_search", "search-type", "E", Some("Query")),
            ("POST", "/Observation", "create", "C", Some("Create")),
            ("PUT", "/Patient/17", "update", "U", Some("PatientUpdate")),
            ("PATCH", "/Observation/17", "patch", "U", Some("Update")),
            ("DELETE", "/Observation/17", "delete", "D", Some("Delete")),
            ("POST", "/Patient/$match", "operation", "E", None),
            ("GET", "/fhir/metadata", "capabilities", "R", None),
            ("POST", "/fhir", "transaction", "E", None),
            ("GET", "/fhir", "search-system", "E", Some("Query")),
        ];
        for (method, path, code, action, profile) in table {
            let found = Interaction::of(method, path);
            assert_eq!((found.code, found.action()), (code, action), "{method} {path}");
            assert_eq!(found.profile().as_deref(), profile, "{method} {path}");
        }
    }

    /// The constraints of BALP 1.1.4's profiles: required slices, their cardinality, fixed codes.
    #[test]
    fn successes_fulfil_their_profiles() {
        let codes = |value: &Value| value["coding"][0]["code"].as_str().unwrap().to_owned();
        for (method, path, subtype, action, client, server) in [
            ("POST", "/Patient", "create", "C", "110153", "110152"),
            ("GET", "/Patient/17", "read", "R", "110152", "110153"),
            ("GET", "/Patient/{id}", "read", "R", "110152", "110153"),
            ("PUT", "/Patient/17", "update", "U", "110153", "110152"),
            ("DELETE", "/Patient/17", "delete", "D", "110150", "custodian"),
            ("GET", "/Patient", "search-type", "E", "110153", "110152"),
        ] {
            let event = audit_event(&record(method, path, 200));
            assert_eq!(event["type"]["code"], "rest");
            assert_eq!((&event["subtype"][0]["code"], &event["action"]), (&json!(subtype), &json!(action)));
            assert_eq!((&event["outcome"], &event["recorded"]), (&json!("0"), &json!("2026-11-30T08:00:00.123Z")));
            let agents = event["agent"].as_array().unwrap();
            assert_eq!(agents.iter().map(|agent| codes(&agent["type"])).collect::<Vec<_>>(), [client, server]);
            for agent in agents {
                assert!(
                    agent["who"].is_object() && agent["network"]["address"].is_string() && agent["media"].is_null()
                );
            }
            assert_eq!(agents[0]["network"], json!({"address": "192.0.2.1", "type": "2"}));
            let entities = event["entity"].as_array().unwrap();
            let of = |code: &str, role: Option<&str>| {
                let is = |entity: &&Value| {
                    entity["type"]["code"] == code && role.is_none_or(|role| entity["role"]["code"] == role)
                };
                entities.iter().filter(is).collect::<Vec<_>>()
            };
            assert_eq!(of("XrequestId", None)[0]["what"]["identifier"]["value"], "Mc7UVioPPHcEKPA=");
            let profile = event["meta"]["profile"][0].as_str().unwrap().rsplit('.').next().unwrap();
            if profile == "Query" {
                let query = of("2", Some("24"));
                assert!(query.len() == 1 && query[0]["query"].is_string() && query[0]["what"].is_null());
            } else {
                let data = of("2", Some("4"));
                assert!(data.len() == 1 && data[0]["what"].is_object(), "{event}");
                let patients = of("1", Some("1"));
                assert_eq!(patients.len(), usize::from(profile.starts_with("Patient")));
                assert!(patients.iter().all(|patient| patient["what"]["reference"] == "Patient/17"));
            }
        }
    }

    #[test]
    fn failures_carry_their_outcome_and_claim_no_profile() {
        let refusal = Refusal {
            code: trust::Code::ClientCertExpired,
            detail: "it ended".into(),
            explanation: "".into(),
            fix: "".into(),
            evidence: vec![],
            chain_sha256: None,
        };
        let refused = audit_event(&AccessRecord { refusal: Some(refusal), ..record("GET", "/Patient/17", 403) });
        assert_eq!((&refused["type"]["code"], &refused["subtype"][0]["code"]), (&json!("110113"), &json!("110126")));
        assert_eq!(
            (&refused["outcome"], &refused["outcomeDesc"]),
            (&json!("4"), &json!("ClientCertExpired: it ended"))
        );
        assert!(!refused.to_string().contains("Patient/17"), "what a stranger asked for is nobody's");
        let denial = Some(Denial { code: "TokenExpired".into(), detail: "it ended".into() });
        let denied = audit_event(&AccessRecord { denial, ..record("GET", "/Patient/17", 401) });
        assert_eq!(
            (&denied["type"]["code"], &denied["outcomeDesc"]),
            (&json!("rest"), &json!("TokenExpired: it ended"))
        );
        let table = [
            (404, "4", "not-found"),
            (429, "4", "throttled"),
            (500, "8", "exception"),
            (504, "8", "timeout"),
            (0, "8", "exception"),
        ];
        for (status, outcome, code) in table {
            let event = audit_event(&record("GET", "/Patient/17", status));
            assert_eq!(
                (&event["outcome"], &event["contained"][0]["issue"][0]["code"]),
                (&json!(outcome), &json!(code))
            );
        }
        for event in [refused, denied] {
            assert!(event["meta"].is_null());
            let entities = event["entity"].as_array().unwrap();
            assert!(
                entities.iter().any(|entity| entity["what"]["reference"] == "#outcome"),
                "contained, so it is referred to"
            );
        }
    }
}
