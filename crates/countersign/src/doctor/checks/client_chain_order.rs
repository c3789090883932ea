//! The client's own certificate does not come first.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "client-chain-order",
    severity: Severity::Error,
    about: "The client's own certificate does not come first",
    why: "Servers take the first certificate for the client's. Then the key does not fit, or what follows is not \
        used.",
    needs: Need::Client,
    causes: &["client-file-unusable"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(client) = &facts.files.client else { return Vec::new() };
    let of_key = client.certificates.iter().find(|(_, certificate)| client.is_of_key(certificate) == Some(true));
    let by_name = || client.certificates.iter().find(|(_, certificate)| !certificate.is_ca() && certificate.version() == 3);
    let own = of_key.or_else(|| by_name().filter(|_| client.key.is_err()));
    if let Some((place, own)) = own
        && *place > 0
    {
        return vec![Seen::new(
            format!("{}: {} is certificate {} of the file.", client.cert_file, own.subject(), place + 1),
            "Put the client's own certificate first in the file, then the one that issued it, and so on up.",
        )];
    }
    let broken = client.certificates.windows(2).find(|pair| pair[0].1.issuer_der() != pair[1].1.subject_der());
    let Some([(_, before), (_, after)]) = broken else { return Vec::new() };
    vec![
        Seen::new(
            format!(
                "{}: {}, which {} issued, is followed by {}.",
                client.cert_file,
                before.subject(),
                before.issuer(),
                after.subject()
            ),
            "Put the client's own certificate first in the file, then the one that issued it, and so on up.",
        )
        .severity(Severity::Warning),
    ]
}
