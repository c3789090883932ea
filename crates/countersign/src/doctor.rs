//! `countersign doctor`: what is wrong with an endpoint that asks for client certificates, the true cause first.
//!
//! Facts are gathered first ([`probe`] on the network, [`files`] from disk, [`settings`] by the AWS APIs); then every check of
//! [`checks`] looks at them, without input or output; [`diagnosis`] ranks what they found, and [`render`] prints it.

mod checks;
mod diagnosis;
mod facts;
mod files;
mod fix;
mod judge;
mod probe;
mod render;
mod settings;
mod target;

use std::net::SocketAddr;
use std::path::PathBuf;

use async_trait::async_trait;
use clap::ValueEnum;
use control::Control;
use model::resource::Domain;
use serde_json::Value;
use time::OffsetDateTime;
use trust::{Profile, UnixSeconds};

use crate::answer::{self, Answer, Failure, Outcome};
use crate::client::{Client, ServerArgs};
use checks::Severity;
use diagnosis::Diagnosis;
use facts::Facts;
use target::Target;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The endpoint: https://HOST[:PORT][/PATH]
    #[arg(value_parser = Target::parse)]
    url: Target,
    /// The client's certificate, and what it sends along, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The client's private key, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The truststore that the server is meant to enforce, PEM [default: the one in force, where settings can be read]
    #[arg(long, value_name = "FILE")]
    truststore: Option<PathBuf>,
    /// Revocation lists that the server is meant to enforce, PEM or DER; may be given several times
    #[arg(long = "crl", value_name = "FILE")]
    crls: Vec<PathBuf>,
    /// Rules that the server is meant to enforce: aws or rfc5280 [default: those of the domain, else aws]
    #[arg(long, value_name = "NAME", value_parser = crate::verify::parse_profile)]
    profile: Option<Profile>,
    /// CAs by which the server may be certified, PEM [default: those of the system, of COUNTERSIGN_CA_FILE and of --data-dir]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Connect to this address, whatever the URL's name resolves to
    #[arg(long, value_name = "HOST:PORT", value_parser = target::parse_address)]
    connect: Option<target::Address>,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t)]
    format: render::Format,
    /// The exit code is 1 if there is a finding of this severity or a graver one
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = FailOn::Error)]
    fail_on: FailOn,
    /// Make those changes of settings that are safe, and say which
    #[arg(long)]
    fix: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Error,
    Warning,
    Info,
    Never,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(format!("cannot start: {e}")))?;
    runtime.block_on(examine(args))
}

async fn examine(args: &Args) -> Outcome {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let files = files::Files::read(&files::Paths {
        cert: args.cert.as_deref(),
        key: args.key.as_deref(),
        truststore: args.truststore.as_deref(),
        crls: &args.crls,
        ca_file: args.ca_file.as_deref(),
        local_ca: args.server.local_ca().as_deref(),
    })?;
    let control = args.server.client_if_named()?;
    if args.fix && control.is_none() {
        return Err(Failure::new(
            "--fix changes settings: name the server by --endpoint, --data-dir or AWS_ENDPOINT_URL",
        ));
    }
    let subject = Subject { url: args.url.clone(), connect: args.connect.clone(), files, profile: args.profile, now };
    let (facts, diagnosis) = subject.diagnose(control.as_ref()).await;
    let fixed = match (args.fix, &control) {
        (true, Some(client)) => fix::apply(client, &diagnosis).await,
        _ => Vec::new(),
    };
    answer::print(&render::render(args.format, &facts, &diagnosis, &fixed, args.fail_on.threshold()));
    let threshold = args.fail_on.threshold();
    let is_bad = |finding: &diagnosis::Finding| threshold.is_some_and(|least| finding.severity >= least);
    // A consequence goes with its cause, and a mended cause is none.
    let mended =
        |finding: &diagnosis::Finding| fixed.iter().any(|fixed| fixed.id == finding.id && fixed.error.is_none());
    let bad = diagnosis
        .causes
        .iter()
        .any(|cause| !mended(&cause.finding) && (is_bad(&cause.finding) || cause.consequences.iter().any(is_bad)));
    Ok(if bad { Answer::No } else { Answer::Yes })
}

/// An endpoint to look at, and what is known of it beforehand.
struct Subject {
    url: Target,
    /// Where to connect, whatever the URL's name resolves to.
    connect: Option<target::Address>,
    files: files::Files,
    profile: Option<Profile>,
    now: UnixSeconds,
}

impl Subject {
    /// Looks, and judges. `control`: where settings are read.
    async fn diagnose(self, control: Option<&Client>) -> (Facts, Diagnosis) {
        let Self { url, connect, files, profile, now } = self;
        let mut settings = settings::Settings::read(control, &url.host).await;
        let known = settings.as_ref().ok().and_then(Option::as_ref);
        let doors = known.map(|settings| settings.back_doors(&url, connect.as_ref())).unwrap_or_default();
        let address = connect.unwrap_or_else(|| url.address());
        let neighbours = known.map(settings::Settings::open_names).unwrap_or_default();
        let around = probe::Around { doors, neighbours };
        let live = probe::Live::of(&url, &address, &files, &around).await;
        if let (Some(client), Ok(Some(settings))) = (control, &mut settings) {
            let leaf = files.client.as_ref().and_then(|client| client.leaf());
            settings.explain(client, &live, leaf.map(|leaf| leaf.fingerprint_hex()).as_deref()).await;
        }
        let (settings, settings_error) = match settings {
            Ok(settings) => (settings, None),
            Err(failure) => (None, Some(failure.to_string())),
        };
        let address = address.to_string();
        let mut facts =
            Facts { target: url, address, now, files, live, settings, settings_error, profile, verdict: None };
        facts.verdict = judge::verdict(&facts);
        let diagnosis = Diagnosis::of(&facts);
        (facts, diagnosis)
    }
}

/// Looks at the domains of the server that it is a part of.
pub(crate) struct OwnDoctor {
    /// Where clients connect.
    pub(crate) https: SocketAddr,
    /// Root of the certificates that the server issues.
    pub(crate) local_ca: PathBuf,
}

#[async_trait]
impl control::Doctor for OwnDoctor {
    async fn examine(&self, control: &Control, domain: &Domain, asks: sigv4::Credentials) -> Result<Value, String> {
        // Any name of a wildcard's is as good as another.
        let host = domain.name.replacen('*', "doctor", 1);
        let local_ca = Some(self.local_ca.as_path()).filter(|file| file.exists());
        let paths = files::Paths { cert: None, key: None, truststore: None, crls: &[], ca_file: None, local_ca };
        let subject = Subject {
            url: Target::parse(&format!("https://{host}:{}/", self.https.port()))?,
            connect: Some(target::parse_address(&self.https.to_string())?),
            files: files::Files::read(&paths).map_err(|failure| failure.to_string())?,
            profile: None,
            now: control.now().div_euclid(1000),
        };
        let client = Client::within(control.clone(), asks, &domain.region);
        let (facts, diagnosis) = subject.diagnose(Some(&client)).await;
        let told = render::render(render::Format::Json, &facts, &diagnosis, &[], None);
        serde_json::from_str(&told).map_err(|error| error.to_string())
    }
}

impl FailOn {
    fn threshold(self) -> Option<Severity> {
        match self {
            Self::Error => Some(Severity::Error),
            Self::Warning => Some(Severity::Warning),
            Self::Info => Some(Severity::Info),
            Self::Never => None,
        }
    }
}
