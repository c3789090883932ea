//! What is done to the settings now and then, without being asked.

use std::time::Duration;

use control::{Control, local_ca};
use store::Kept;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::certificates;
use crate::acme::Acme;
use crate::answer::warn;
use crate::config::Config;
use crate::revocation::follow;

/// Runs until it is stopped.
pub(super) struct Chores(JoinSet<()>);

/// Between two looks for bytes that the settings name no more.
const FORGETTING: Duration = Duration::from_secs(60 * 60);
/// Between two looks at what strangers tried.
const TELLING: Duration = Duration::from_secs(60);
/// Between two looks for versions of objects of which the settings were not told.
const CATCHING_UP: Duration = Duration::from_secs(60);
/// Between two looks at the certificates that the local CA has signed.
const RENEWAL: Duration = Duration::from_secs(24 * 60 * 60);

impl Chores {
    /// With the revocation lists and certificates that the configuration has in files, and the issuer that it names.
    pub(super) fn start(control: &Control, config: &Config, acme: Option<&Acme>) -> Self {
        let mut chores = JoinSet::new();
        chores.spawn(renew(control.clone()));
        chores.spawn(forget(control.clone()));
        chores.spawn(catch_up(control.clone()));
        chores.spawn(tell_of_strangers(control.clone()));
        if let Some(lists) = &config.revocation.directory {
            chores.spawn(follow(control.clone(), lists.clone()));
        }
        chores.spawn(certificates::follow(control.clone(), config.certificates.clone()));
        match acme {
            Some(acme) => drop(chores.spawn(acme.clone().run(control.clone()))),
            None => tell_of_orphans(control),
        }
        Self(chores)
    }

    /// What is half done is done again the next time.
    pub(super) async fn stop(&mut self) {
        self.0.shutdown().await;
    }
}

/// Certificates of an ACME issuer end, where the configuration names none any more.
fn tell_of_orphans(control: &Control) {
    let count = control.acme_certificates().len();
    if count > 0 {
        warn(&format!("{count} certificates of an ACME issuer are not renewed: the configuration has no [acme]"));
    }
}

/// Renews what the local CA has signed.
async fn renew(control: Control) {
    loop {
        sleep(RENEWAL).await;
        if let Err(e) = local_ca::renew(&control).await {
            warn(&format!("certificates of the local CA are not renewed: {e}"));
        }
    }
}

/// Finds what was written to objects that domains name, and got lost on its way to the settings.
async fn catch_up(control: Control) {
    loop {
        if let Err(e) = control.catch_up().await {
            warn(&format!("objects that domains name are not followed: {e}"));
        }
        sleep(CATCHING_UP).await;
    }
}

/// Has what strangers tried recorded that no record tells of yet.
async fn tell_of_strangers(control: Control) {
    loop {
        sleep(TELLING).await;
        control.settings().tell_of_strangers(false);
    }
}

/// Forgets truststores and lists that nothing names.
async fn forget(control: Control) {
    let mut unnamed = Kept::new();
    loop {
        match control.settings().forget_blobs(&unnamed).await {
            Ok(now) => unnamed = now,
            Err(e) => warn(&e.to_string()),
        }
        sleep(FORGETTING).await;
    }
}
