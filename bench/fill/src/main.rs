//! Fills a gateway's settings with many copies of what is in them: `fill settings.redb --truststores DIR --apis N --routes N`.
//!
//! The gateway must not run. What is copied is whatever `countersign up --domain` has set up, so that certificate, key and
//! access log are those of the original; the copies are JSON, so that nothing here knows a resource's every field.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use model::{Blob, Change, Key};
use serde_json::{Value, json};
use store::{Redb, Store};

#[derive(Parser)]
struct Arguments {
    /// The settings: settings.redb in a data directory
    settings: PathBuf,
    /// A domain for every file NAME.pem in it, which is its truststore
    #[arg(long)]
    truststores: Option<PathBuf>,
    /// APIs besides the one that is there
    #[arg(long, default_value_t = 0)]
    apis: usize,
    /// Routes of each API, the one that is there included
    #[arg(long)]
    routes: Option<usize>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let store = Redb::open(&arguments.settings).expect("the settings");
    let (revision, known) = store.load().await.expect("the settings");
    let settings = Settings(known);
    let mut changes = Vec::new();
    if let Some(directory) = &arguments.truststores {
        for blob in settings.domains(directory, &mut changes) {
            store.put_blob(blob).await.expect("a blob");
        }
    }
    if let Some(routes) = arguments.routes {
        settings.apis(arguments.apis, routes, &mut changes);
    }
    println!("{} resources", changes.len());
    store.commit(revision, changes).await.expect("a commit");
}

/// What is there, of which copies are made.
struct Settings(Vec<Change>);

impl Settings {
    fn all(&self, kind: &str) -> Vec<Value> {
        let of_kind = self.0.iter().filter(|change| change.key.as_str().split('/').next() == Some(kind));
        of_kind.filter_map(|change| serde_json::from_slice(change.value.as_deref()?).ok()).collect()
    }

    fn one(&self, kind: &str) -> Value {
        let mut all = self.all(kind);
        assert_eq!(all.len(), 1, "one of {kind} is expected");
        all.remove(0)
    }

    /// Domains like the one that is there, each with its own truststore; and the truststores.
    fn domains(&self, directory: &Path, changes: &mut Vec<Change>) -> Vec<Blob> {
        let (domain, mapping) = (self.one("domains"), self.one("mappings"));
        let files = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
        let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "pem"));
        let mut blobs = Vec::new();
        for (number, path) in files.enumerate() {
            let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a domain's name").to_owned();
            let blob = Blob::of(fs::read(&path).expect("a truststore"));
            let mut copy = domain.clone();
            copy["name"] = name.as_str().into();
            copy["target_id"] = format!("d-{number:010}").into();
            copy["history"] = json!([]);
            copy["mutual_tls"]["digest"] = blob.digest().into();
            copy["mutual_tls"]["uri"] = format!("s3://countersign-gateways/{name}/truststore.pem").into();
            changes.push(put(format!("domains/{name}"), &copy));
            let mut copy = mapping.clone();
            let id = format!("m{number:06}");
            (copy["id"], copy["domain"]) = (id.as_str().into(), name.as_str().into());
            changes.push(put(format!("mappings/{name}/{id}"), &copy));
            blobs.push(blob);
        }
        blobs
    }

    /// APIs like the one that is there, all of them with this many routes, current and deployed.
    fn apis(&self, more: usize, routes: usize, changes: &mut Vec<Change>) {
        let (api, stage) = (self.one("apis"), self.one("stages"));
        let (integration, route) = (self.one("integrations"), self.one("routes"));
        let deployed = stage["deployment_id"].clone();
        let deployment = self.all("deployments").into_iter().find(|one| one["id"] == deployed).expect("a deployment");
        let original = api["id"].as_str().expect("an id").to_owned();
        let copies = (0..more).map(|number| format!("api{number:07}"));
        for id in std::iter::once(original).chain(copies) {
            let of = |resource: &Value| {
                let mut copy = resource.clone();
                copy["api_id"] = id.as_str().into();
                copy
            };
            let mut copy = api.clone();
            copy["id"] = id.as_str().into();
            copy["disable_execute_api_endpoint"] = false.into();
            changes.push(put(format!("apis/{id}"), &copy));
            changes.push(put(format!("stages/{id}/{}", text(&stage["name"])), &of(&stage)));
            changes.push(put(format!("integrations/{id}/{}", text(&integration["id"])), &of(&integration)));
            let routes = some_routes(&of(&route), routes);
            changes.extend(routes.iter().map(|route| put(format!("routes/{id}/{}", text(&route["id"])), route)));
            let mut copy = of(&deployment);
            copy["routes"] = routes.into();
            copy["integrations"] = vec![of(&integration)].into();
            copy["disable_execute_api_endpoint"] = false.into();
            changes.push(put(format!("deployments/{id}/{}", text(&deployment["id"])), &copy));
        }
    }
}

/// `route` itself, the one that the load asks for, and others like them.
fn some_routes(route: &Value, count: usize) -> Vec<Value> {
    let other = |number: usize| {
        let mut copy = route.clone();
        copy["id"] = format!("r{number:06}").into();
        copy["route_key"] = match number {
            1 => "GET /b/{size}".to_owned(),
            _ => format!("GET /v{}/things-{number}/{{id}}", number % 10),
        }
        .into();
        copy["api_gateway_managed"] = false.into();
        copy
    };
    std::iter::once(route.clone()).chain((1..count).map(other)).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn put(key: String, resource: &Value) -> Change {
    Change { key: Key::from(key), value: Some(serde_json::to_vec(resource).expect("it is JSON")) }
}
