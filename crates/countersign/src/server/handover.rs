//! Handing over to the next process, and taking over from the one before: see [`crate::takeover`].

use std::io;
use std::time::Duration;

use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::sleep;

use super::Server;
use super::chores::Chores;
use crate::answer::{Failure, warn};
use crate::inherited::Inherited;
use crate::takeover::{Door, Handed, Predecessor, Successor};
use crate::up::Signals;

/// Between two tries to take back what another process has not let go of yet, and after how many of them that is told.
const RETRY: Duration = Duration::from_millis(20);
const TRIES_UNTOLD: u32 = 50;
/// Time for sinks to take what was recorded last. The next process goes on with what they do not take.
const SINKS_TIME: Duration = Duration::from_millis(500);

impl Server {
    /// Accepts whoever comes, and lets others take over from it, from now on; who served before is told that it can end, and what
    /// it leaves is taken in.
    pub(crate) fn serve(&mut self, predecessor: Option<Predecessor>) -> Result<(), Failure> {
        self.door = Some(Door::open(&self.dir)?);
        self.life = Some(self.background.spawn(self.notifier.clone().live(self.edge.clone())));
        if predecessor.is_some() {
            // Before the other one can end: a service manager takes the end of the process that it knows for that of the service.
            self.notifier.ready_instead(&self.run.status());
        }
        self.edge.accept();
        self.serving.start(&self.control)?;
        self.sinks.start();
        let Some(mut predecessor) = predecessor else {
            self.notifier.ready(&self.run.status());
            return Ok(());
        };
        predecessor.ready();
        let journal = self.held.journal.clone();
        let inherit = spawn_blocking(move || {
            predecessor.ended();
            journal.take_what_is_left()
        });
        self.background.spawn(async {
            match inherit.await {
                Ok(Ok(lines)) => {
                    warn(&format!("the process before has ended; it left {lines} records, which are taken in"))
                }
                Ok(Err(e)) => {
                    warn(&format!("what the process before has left is not taken in before the next start: {e}"))
                }
                Err(_) => {}
            }
        });
        Ok(())
    }

    /// The next process that wants to take over.
    pub(crate) async fn successor(&self) -> Successor {
        match &self.door {
            Some(door) => door.knock().await,
            None => std::future::pending().await,
        }
    }

    /// Hands everything over. `true`: the other one serves, and this one has only to be drained. Else it goes on as if nothing
    /// had happened; requests to the control address have waited.
    pub(crate) async fn hand_over(&mut self, successor: Successor, signals: &mut Signals) -> bool {
        warn("another process takes over");
        self.serving.stop().await;
        self.chores.stop().await;
        self.sinks.stop(SINKS_TIME).await;
        let given = self.give(&successor).await;
        if let Err(e) = &given {
            warn(&format!("it cannot be given what it needs: {e}"));
        }
        if given.is_ok() && self.is_ready(&successor, signals).await {
            self.life.iter().for_each(AbortHandle::abort);
            self.taken_over_by = Some(successor);
            return true;
        }
        drop(successor);
        self.take_back().await;
        false
    }

    async fn give(&self, successor: &Successor) -> io::Result<()> {
        let (https, control) = (self.edge.sockets()?, Some(self.serving.socket()?));
        let handed = Handed { sockets: Inherited { https, control, managed: self.managed }, lock: self.lock.share()? };
        let (held, successor) = (self.held.clone(), successor.try_clone()?);
        let given = spawn_blocking(move || held.release().and_then(|()| successor.hand(&handed)));
        given.await.unwrap_or_else(|e| Err(io::Error::other(e)))
    }

    /// Waits for it. Whoever stops this process meanwhile leaves everything to the other one.
    async fn is_ready(&self, successor: &Successor, signals: &mut Signals) -> bool {
        let Ok(waiting) = successor.try_clone() else { return false };
        let ready = spawn_blocking(move || waiting.is_ready());
        tokio::select! {
            ready = ready => ready.unwrap_or_default(),
            () = signals.stop() => {
                successor.leave();
                true
            }
        }
    }

    /// Until it works: there is nothing better to do, and the gateway serves.
    async fn take_back(&mut self) {
        warn("it did not get ready: this process takes everything back");
        for tries in 1_u32.. {
            let held = self.held.clone();
            match spawn_blocking(move || held.reclaim()).await {
                Ok(Ok(())) => break,
                // Whoever was killed lets go a moment after its end has shown.
                Ok(Err(e)) if tries == TRIES_UNTOLD => warn(&e.to_string()),
                _ => {}
            }
            sleep(RETRY).await;
        }
        // The other one may have put its own in the place of this one's.
        match Door::open(&self.dir) {
            Ok(door) => self.door = Some(door),
            Err(e) => warn(&e.to_string()),
        }
        self.sinks.start();
        self.chores = Chores::start(&self.control, &self.config, self.acme.as_ref());
        let again = self.serving.start(&self.control).and_then(|()| self.running.again(&self.run));
        if let Err(e) = again {
            warn(&e.to_string());
        }
        self.notifier.ready_instead(&self.run.status());
    }
}
