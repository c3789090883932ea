//! Who asks: a client, as its certificate names it.

use std::fmt;

use cedar_policy::{Entities, Entity, EntityUid, RestrictedExpression};
use trust::{Certificate, SubjectAltName};

use crate::values::{address, datetime, set, text};
use crate::vocabulary::{VOCABULARY, uid};

/// Who asks. Made once for a client, and asked about as often as it comes.
#[derive(Clone)]
pub struct Principal {
    pub(crate) uid: EntityUid,
    /// With it, and the actions.
    pub(crate) entities: Entities,
}

impl Principal {
    /// Somebody who was asked for no certificate.
    pub fn anonymous() -> Self {
        let vocabulary = &*VOCABULARY;
        Self { uid: uid(&vocabulary.anonymous, "anonymous"), entities: vocabulary.actions.clone() }
    }

    /// The holder of `leaf`, which was found to be issued by the first of `issuers`, that by the next, and so on.
    ///
    /// None where Cedar cannot hold what is in it; there is nothing of that kind that we know of.
    pub fn of<'c>(leaf: &Certificate, issuers: impl IntoIterator<Item = &'c Certificate>) -> Option<Self> {
        let vocabulary = &*VOCABULARY;
        let uid = uid(&vocabulary.client, &leaf.fingerprint_hex());
        let client = client(uid.clone(), leaf, issuers)?;
        Some(Self { uid, entities: vocabulary.actions.clone().add_entities([client], None).ok()? })
    }
}

fn client<'c>(
    uid: EntityUid,
    leaf: &Certificate,
    issuers: impl IntoIterator<Item = &'c Certificate>,
) -> Option<Entity> {
    let of_subject = |attribute| set(leaf.subject_attributes(attribute));
    let uris = || leaf.subject_alt_names().iter().filter_map(uri);
    let mut attributes = vec![
        ("fingerprint", text(leaf.fingerprint_hex())),
        ("subject", text(leaf.subject())),
        ("issuer", text(leaf.issuer())),
        ("serial", text(leaf.serial_number())),
        ("commonName", of_subject("CN")),
        ("organization", of_subject("O")),
        ("organizationalUnit", of_subject("OU")),
        ("dns", named(leaf, |name| if let SubjectAltName::Dns(dns) = name { Some(text(dns)) } else { None })),
        ("email", named(leaf, |name| if let SubjectAltName::Email(email) = name { Some(text(email)) } else { None })),
        ("uri", named(leaf, |name| uri(name).map(text))),
        ("ip", named(leaf, |name| if let SubjectAltName::Ip(ip) = name { Some(address(*ip)) } else { None })),
        ("authorities", set(issuers.into_iter().map(Certificate::fingerprint_hex))),
        ("notBefore", datetime(leaf.not_before())),
        ("notAfter", datetime(leaf.not_after())),
    ];
    // A certificate with several URIs is none of SPIFFE's (X509-SVID section 2).
    if let (Some(one), None) = (uris().next(), uris().nth(1))
        && one.starts_with("spiffe://")
    {
        attributes.push(("spiffeId", text(one)));
    }
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value));
    Entity::new_with_tags(uid, attributes, [], []).ok()
}

fn uri(name: &SubjectAltName) -> Option<&str> {
    if let SubjectAltName::Uri(uri) = name { Some(uri) } else { None }
}

/// The alternative names of a kind.
fn named(
    leaf: &Certificate,
    of_kind: impl Fn(&SubjectAltName) -> Option<RestrictedExpression>,
) -> RestrictedExpression {
    RestrictedExpression::new_set(leaf.subject_alt_names().iter().filter_map(of_kind))
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Principal").field(&self.uid).finish()
    }
}
