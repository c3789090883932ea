//! Which certificates of a truststore stand below which.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{Certificate, UnixSeconds};

/// Certificates with their distances from a root.
pub struct Hierarchy<'a> {
    certificates: &'a [Arc<Certificate>],
    /// 1 for a root; none where no path leads to one.
    levels: Vec<Option<usize>>,
    /// Of each those that signed it.
    issuers: Vec<Vec<usize>>,
}

/// An authority as clients' certificates name it: by its subject, and by the key that signs.
pub type Authority<'a> = (&'a [u8], &'a [u8]);

impl<'a> Hierarchy<'a> {
    /// Checks who signed whom: up to sixteen signatures a certificate.
    pub fn of(certificates: &'a [Arc<Certificate>]) -> Self {
        let mut by_subject: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (place, certificate) in certificates.iter().enumerate() {
            by_subject.entry(certificate.subject_der()).or_default().push(place);
        }
        let issuers: Vec<Vec<usize>> =
            certificates.iter().map(|child| issuers(child, certificates, &by_subject)).collect();
        let mut levels: Vec<Option<usize>> = certificates.iter().map(|one| is_root(one).then_some(1)).collect();
        // Each round settles one level more, so there are no more rounds than levels.
        for level in 2..=certificates.len() {
            let below = |place: usize| issuers[place].iter().any(|&issuer| levels[issuer] == Some(level - 1));
            let found: Vec<usize> =
                (0..levels.len()).filter(|&place| levels[place].is_none() && below(place)).collect();
            if found.is_empty() {
                break;
            }
            found.into_iter().for_each(|place| levels[place] = Some(level));
        }
        Self { certificates, levels, issuers }
    }

    /// Distance of each certificate from a root, in the order of the certificates: 1 for a root, none where no path leads to one.
    pub fn levels(&self) -> &[Option<usize>] {
        &self.levels
    }

    /// For each certificate the place of the one that stands above it: the first that issued it and is nearer to a root.
    pub fn parents(&self) -> Vec<Option<usize>> {
        let above = |place: usize| {
            let level = self.levels[place].filter(|level| *level > 1)?;
            self.issuers[place].iter().copied().find(|&issuer| self.levels[issuer] == Some(level - 1))
        };
        (0..self.certificates.len()).map(above).collect()
    }

    /// Places of the certificates, roots first, then those that they issued, and so on; last those that lead to no root.
    pub fn roots_first(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.certificates.len()).collect();
        places.sort_by_key(|&place| (self.levels[place].unwrap_or(usize::MAX), self.certificates[place].subject()));
        places
    }

    /// The authorities whose clients are accepted at `at`: valid, and below a root.
    pub fn authorities(&self, at: UnixSeconds) -> HashMap<Authority<'a>, &'a Arc<Certificate>> {
        let placed = self.certificates.iter().zip(&self.levels).filter(|(_, level)| level.is_some());
        let valid = |one: &Certificate| (one.not_before()..=one.not_after()).contains(&at);
        placed
            .filter(|(certificate, _)| may_issue(certificate) && valid(certificate))
            .map(|(certificate, _)| (authority(certificate), certificate))
            .collect()
    }
}

/// As clients' certificates name it.
pub fn authority(certificate: &Certificate) -> Authority<'_> {
    (certificate.subject_der(), certificate.public_key_der())
}

/// Whether it is meant to issue: a CA, or a root of the time before certificates could say so.
pub fn may_issue(certificate: &Certificate) -> bool {
    certificate.is_ca() || certificate.version() < 3 && is_root(certificate)
}

fn is_root(certificate: &Certificate) -> bool {
    certificate.is_self_issued() && certificate.is_signed_by(certificate)
}

/// Signature checks for one certificate: more authorities of one name are not tried.
const MAX_CHECKS: usize = 16;

fn issuers(child: &Certificate, all: &[Arc<Certificate>], by_subject: &HashMap<&[u8], Vec<usize>>) -> Vec<usize> {
    let named = by_subject.get(child.issuer_der()).map_or(&[][..], Vec::as_slice).iter().copied();
    let others = named.filter(|&place| all[place].der() != child.der() && may_issue(&all[place]));
    others.take(MAX_CHECKS).filter(|&place| child.is_signed_by(&all[place])).collect()
}
