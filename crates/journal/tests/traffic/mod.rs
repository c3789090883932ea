//! Records of typical traffic: a few hundred partners on connections that live for some twenty requests, of whom a few send most.

use std::net::SocketAddr;

use aws_lc_rs::digest;
use data_encoding::{BASE64, HEXLOWER};
use journal::{AccessRecord, Client, Truststore, request_id};

/// Connections that are open at a time.
const CONNECTIONS: usize = 200;
const ROUTES: &[&str] =
    &["GET /Patient/{id}", "GET /Observation", "POST /Bundle", "GET /Encounter/{id}", "GET /metadata"];

/// Makes records, each some milliseconds after the one before.
pub struct Traffic {
    seed: u64,
    clients: u64,
    now_us: u64,
    step_us: u64,
    connections: Vec<Connection>,
}

struct Connection {
    id: String,
    client: u64,
    fingerprint: String,
    source: SocketAddr,
}

impl Traffic {
    /// Of so many clients, from a time on, so many microseconds apart on average.
    pub fn new(clients: u64, begin_ms: i64, step_us: u64) -> Self {
        let (seed, now_us) = (0x9e37_79b9_7f4a_7c15, begin_ms as u64 * 1000);
        Self { seed, clients, now_us, step_us, connections: Vec::new() }
    }

    /// The next one. It is of the last of the clients once in a million times.
    pub fn record(&mut self) -> AccessRecord<'static> {
        self.now_us += self.below(2 * self.step_us);
        if self.connections.len() < CONNECTIONS || self.below(20) == 0 {
            let at = self.below(CONNECTIONS as u64) as usize;
            let connection = self.connection();
            match self.connections.get_mut(at) {
                Some(place) => *place = connection,
                None => self.connections.push(connection),
            }
        }
        let at = self.below(self.connections.len() as u64) as usize;
        let (id, took_ms) = (self.id(), 3 + self.below(20) * self.below(10));
        let (status, bytes_out) = (if self.below(50) == 0 { 404 } else { 200 }, 200 + self.below(50) * self.below(100));
        let (took_us, bytes_in) = (took_ms * 1000 + self.below(1000), self.below(40) * 8);
        let route = ROUTES[self.below(ROUTES.len() as u64) as usize];
        let (method, path) = route.split_once(' ').expect("a method and a path");
        let connection = &self.connections[at];
        let (subject, serial) = (subject(connection.client), connection.fingerprint[8..40].to_owned());
        let issuer = "CN=Partner CA,O=Example,C=GB";
        let seconds = self.now_us / 1_000_000;
        let message = format!(
            "{{\"requestId\":\"{id}\",\"ip\":\"{}\",\"requestTime\":\"30/Nov/2026:08:{:02}:{:02} +0000\",\
             \"httpMethod\":\"{method}\",\"routeKey\":\"{route}\",\"status\":\"{status}\",\"protocol\":\"HTTP/1.1\",\
             \"responseLength\":\"{bytes_out}\",\"responseLatency\":\"{took_ms}\",\"clientCertSubject\":\"{subject}\",\
             \"clientCertSerial\":\"{serial}\",\"clientCertIssuer\":\"{issuer}\"}}",
            connection.source.ip(),
            seconds / 60 % 60,
            seconds % 60,
        );
        AccessRecord {
            time_ms: (self.now_us / 1000) as i64,
            took_us,
            region: "us-east-1".into(),
            group: "/aws/apigateway/prod".into(),
            stream: "0000019a0000000000000000000000001".into(),
            message: message.into(),
            request_id: id.into(),
            connection: connection.id.clone().into(),
            trace: "".into(),
            span: "".into(),
            parent_span: "".into(),
            domain: "api.example.com".into(),
            api_id: Some("a1b2c3d4e5".into()),
            stage: Some("$default".into()),
            method: method.to_owned().into(),
            route: route.into(),
            path: path.to_owned().into(),
            status,
            bytes_in,
            bytes_out,
            refusal: None,
            denial: None,
            revision: 71,
            truststore: Some(Truststore { digest: "8f".repeat(32).into(), version: Some("v1abc".into()) }),
            client: Some(Client {
                subject: subject.into(),
                issuer: issuer.into(),
                serial: serial.into(),
                fingerprint: connection.fingerprint.clone().into(),
            }),
            shadow: None,
            source: connection.source,
        }
    }

    fn connection(&mut self) -> Connection {
        let some = self.below(self.clients - 1);
        let client = match self.below(50_000) {
            0 => self.clients - 1,
            _ => some * self.below(self.clients - 1) / self.clients,
        };
        let port = 32_768 + self.below(28_000) as u16;
        let [.., high, low] = (client * 77 % 60_000).to_be_bytes();
        Connection {
            id: self.id(),
            client,
            fingerprint: fingerprint(client),
            source: ([10, 1, high, low], port).into(),
        }
    }

    fn id(&mut self) -> String {
        let [random @ .., _] = self.next().to_be_bytes();
        BASE64.encode(&request_id::bytes((self.now_us / 1000) as i64, random))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// xorshift
    fn next(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }
}

/// A client's, by its number.
pub fn subject(client: u64) -> String {
    format!("CN=client-{client}.partner.example,O=Partner {} Ltd,C=GB", client % 60)
}

/// A client's, by its number.
pub fn fingerprint(client: u64) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, &client.to_be_bytes()).as_ref())
}
