//! Signed requests to the management APIs, over kept connections, in a closed loop.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use http::{Request, header};
use serde_json::Value;
use sigv4::{Credentials, SecretKey};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Window;
use crate::h1::Conn;
use crate::stats::Stats;

#[derive(Args, Clone)]
pub struct Calls {
    /// The control address
    #[arg(long)]
    pub connect: SocketAddr,
    #[arg(long, env = "AWS_ACCESS_KEY_ID")]
    pub access_key: String,
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub secret_key: String,
    #[arg(long, default_value = "us-east-1")]
    pub region: String,
    /// Name of the service that requests are signed for
    #[arg(long, default_value = "apigateway")]
    pub service: String,
    #[arg(long, default_value = "GET")]
    pub method: String,
    /// Path and query, several of which are used in turn; "{i}" is replaced by a number below --of, another for each request, and
    /// "{i07}" by the same in seven digits
    #[arg(long, required = true)]
    pub path: Vec<String>,
    #[arg(long, default_value_t = 1)]
    pub of: u64,
    /// Body; "{n}" is replaced by the number of the request
    #[arg(long, default_value = "")]
    pub data: String,
    #[arg(short, long, default_value_t = 8)]
    pub connections: usize,
    /// Seconds measured
    #[arg(short, long, default_value_t = 5.0)]
    pub duration: f64,
    /// Seconds run before measuring
    #[arg(long, default_value_t = 0.5)]
    pub warmup: f64,
}

/// Prints what the others print: operations, latency, statuses.
pub async fn run(calls: Calls) -> Value {
    let start = Instant::now();
    let measure = start + Duration::from_secs_f64(calls.warmup);
    let window = Window { start, measure, end: measure + Duration::from_secs_f64(calls.duration) };
    let (stats, calls) = (Rc::new(RefCell::new(Stats::default())), Rc::new(calls));
    let mut set = JoinSet::new();
    for client in 0..calls.connections {
        let (stats, calls) = (stats.clone(), calls.clone());
        set.spawn_local(async move {
            let stream = TcpStream::connect(calls.connect).await.expect("the control address");
            stream.set_nodelay(true).expect("a socket's option");
            let mut connection = Conn::new(stream);
            let mut number = client as u64;
            while Instant::now() < window.end {
                let request = calls.request(number);
                number += calls.connections as u64;
                let began = Instant::now();
                let answer = connection.request(&request).await;
                if !window.measuring(Instant::now()) {
                    continue;
                }
                let mut stats = stats.borrow_mut();
                match answer {
                    Ok(answer) => {
                        stats.success(began.elapsed(), answer.bytes);
                        stats.status(answer.status);
                    }
                    Err(error) => {
                        stats.error(error.to_string());
                        return;
                    }
                }
            }
        });
    }
    while set.join_next().await.is_some() {}
    let stats = stats.take();
    stats.json("control", calls.duration)
}

impl Calls {
    fn request(&self, number: u64) -> Vec<u8> {
        let template = &self.path[number as usize % self.path.len()];
        // Neighbours in time are not neighbours in the tables.
        let index = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % self.of;
        let path = template.replace("{i}", &index.to_string()).replace("{i07}", &format!("{index:07}"));
        let body = self.data.replace("{n}", &number.to_string());
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(format!("http://{}{path}", self.connect))
            .header(header::CONTENT_TYPE, "application/json")
            .body(())
            .expect("a request");
        let credentials = Credentials {
            access_key_id: self.access_key.clone(),
            secret: SecretKey::new(self.secret_key.as_str()),
            session_token: None,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs() as i64;
        sigv4::sign(&mut request, body.as_bytes(), &credentials, &self.region, &self.service, now).expect("a signature");
        let mut head = format!("{} {path} HTTP/1.1\r\nContent-Length: {}\r\n", self.method, body.len());
        for (name, value) in request.headers() {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().expect("text")));
        }
        head.push_str("\r\n");
        head.push_str(&body);
        head.into_bytes()
    }
}
