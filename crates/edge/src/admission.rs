//! Requests of domains that want them recorded before they are forwarded: what is on disk survives whatever comes then.
//!
//! One sync of a runtime is under way at a time. Requests that come meanwhile wait for the next, which is one for all of them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use journal::{AdmissionRecord, Admitted, Journal};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::answer::Answer;
use crate::record::Record;
use crate::runtime::Runtime;

/// How long a request waits for the disk.
const TIME: Duration = Duration::from_secs(5);

/// Those of one runtime that wait.
pub(crate) struct Admissions {
    journal: Journal,
    /// For the next sync.
    waiting: RefCell<Vec<Waiting>>,
    /// One is under way.
    syncing: Cell<bool>,
}

/// Is told what came of the sync.
type Waiting = oneshot::Sender<Result<(), Rc<str>>>;

impl Admissions {
    pub(crate) fn new(journal: Journal) -> Self {
        Self { journal, waiting: RefCell::default(), syncing: Cell::new(false) }
    }

    /// Ends when everything that was appended before is on disk; the error says why it is not.
    async fn synced(&self, runtime: &Rc<Runtime>) -> Result<(), Rc<str>> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push(sender);
        if !self.syncing.replace(true) {
            // Not here: whoever came first may leave, and the others still wait.
            tokio::task::spawn_local(sync(runtime.clone()));
        }
        match timeout(TIME, receiver).await {
            Ok(Ok(synced)) => synced,
            Ok(Err(_)) => Err("the gateway stops".into()),
            Err(_) => Err(format!("the disk has not answered within {} s", TIME.as_secs()).into()),
        }
    }
}

/// Syncs for as long as somebody waits.
async fn sync(runtime: Rc<Runtime>) {
    let admissions = &runtime.admissions;
    loop {
        let waiting = admissions.waiting.take();
        if waiting.is_empty() {
            return admissions.syncing.set(false);
        }
        let is_handed_over = runtime.writer.borrow_mut().flush();
        let synced = match is_handed_over {
            true => admissions.journal.synced().await.map_err(|error| error.to_string().into()),
            false => Err("too many records wait for the disk".into()),
        };
        for one in waiting {
            // Whoever has left needs no answer.
            let _ = one.send(synced.clone());
        }
    }
}

/// Lets a request go on once its admission is on disk.
pub(crate) async fn admit(runtime: &Rc<Runtime>, record: &mut Record) -> Result<(), Answer> {
    let is_kept = runtime.writer.borrow_mut().append_admission(&record.admission());
    let synced = match is_kept {
        true => runtime.admissions.synced(runtime).await,
        false => Err("too many records wait for the disk".into()),
    };
    synced.map_err(|why| {
        record.integration_failed(format!("not forwarded, because its admission could not be recorded: {why}"));
        Answer::Unrecorded
    })
}

impl Record {
    fn admission(&self) -> AdmissionRecord<'_> {
        let stage = self.stage();
        AdmissionRecord {
            time_ms: self.at,
            request_id: self.id.as_str().into(),
            connection: self.connection().id.as_str().into(),
            domain: self.connection().name.as_str().into(),
            api_id: stage.map_or("", |stage| &stage.api_id).into(),
            stage: stage.map_or("", |stage| &stage.name).into(),
            method: self.method().into(),
            route: self.route_named().into(),
            admitted: if self.client.trust.is_some() { Admitted::Trusted } else { Admitted::Anonymous },
            revision: self.revision(),
            truststore: self.client.truststore_named(),
            client: self.client.chain.named(),
            source: self.connection().peer,
        }
    }
}
