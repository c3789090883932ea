//! Certificate policies (RFC 5280 sections 4.2.1.4, 4.2.1.5, 4.2.1.11 and 4.2.1.14) and what they ask of a path
//! (section 6.1).
//!
//! Nobody names the policies that he wants here: the user-initial-policy-set is anyPolicy, as in every TLS server. So
//! the only question is whether some policy is valid for the whole path where a CA requires one, and of the tree of
//! section 6.1.2 the lowest level decides it: a set that grows by what each certificate lists, where the tree of a
//! hostile path grows exponentially (RFC 9618 section 2).

use std::collections::BTreeSet;

use crate::Certificate;
use crate::der::{self, Malformed, Reader};

/// A policy: content octets of its OID.
type Oid = Box<[u8]>;

/// The policy extensions of one certificate.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    /// `certificatePolicies`, if there.
    asserted: Option<Vec<Oid>>,
    /// `policyMappings`: the issuer's policy and the subject's that stands for it.
    mappings: Vec<(Oid, Oid)>,
    /// `requireExplicitPolicy`: certificates below this one after which a valid policy is required.
    require_explicit: Option<u32>,
    /// `inhibitPolicyMapping`, counted likewise.
    inhibit_mapping: Option<u32>,
    /// `inhibitAnyPolicy`, counted likewise.
    inhibit_any: Option<u32>,
    /// One of them cannot be read. Nothing of it is above.
    pub malformed: bool,
}

/// Where a path breaks the rules of policies, and which.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Defect {
    /// Place on the path, the leaf is 0.
    pub place: usize,
    pub what: &'static str,
}

/// Policies and mappings of all certificates of a path.
pub(crate) fn number(path: &[&Certificate]) -> usize {
    let of = |policies: &Policies| policies.asserted.as_ref().map_or(0, Vec::len) + policies.mappings.len();
    path.iter().map(|certificate| of(&certificate.extensions().policies)).sum()
}

/// Policies in one certificate, and mappings; an honest one has a few. Beyond that the extension counts as unreadable.
const MAX_POLICIES: usize = 256;

/// 2.5.29.32.0
const ANY_POLICY: &[u8] = &[0x55, 0x1d, 32, 0];

impl Policies {
    /// Reads the extension `2.5.29.LAST`; the others are not of policies.
    pub(crate) fn remember(&mut self, last: u8, value: &[u8]) -> Result<(), Malformed> {
        match last {
            32 => self.asserted = Some(certificate_policies(value)?),
            33 => self.mappings = policy_mappings(value)?,
            36 => (self.require_explicit, self.inhibit_mapping) = policy_constraints(value)?,
            54 => self.inhibit_any = Some(skip_certs(der::only(value, der::INTEGER)?.value)?),
            _ => {}
        }
        Ok(())
    }
}

/// Follows section 6.1 from the anchor down to the leaf (`path[0]`). What the anchor's own certificate says counts like
/// that of the others (RFC 5937), except that one without policies asserts all of them. Linear in the policies listed.
pub(crate) fn defect(path: &[&Certificate]) -> Option<Defect> {
    // Most paths: nothing below can go wrong.
    let concerned = |certificate: &&Certificate| {
        let policies = &certificate.extensions().policies;
        policies.require_explicit.is_some() || !policies.mappings.is_empty()
    };
    if !path.iter().any(concerned) {
        return None;
    }
    let mut state = State::default();
    path.iter().enumerate().rev().find_map(|(place, certificate)| {
        let is_anchor = place + 1 == path.len();
        state.step(certificate, is_anchor, place == 0).err().map(|what| Defect { place, what })
    })
}

/// The variables of section 6.1.2 (d) to (f), after some certificates of a path.
struct State<'a> {
    /// Policies that the next certificate may assert: the expected policy sets of the tree's lowest level. `None` when
    /// the tree is NULL.
    valid: Option<Valid<'a>>,
    explicit: u32,
    mapping: u32,
    any: u32,
}

#[derive(Default)]
struct Valid<'a> {
    any: bool,
    policies: BTreeSet<&'a [u8]>,
}

impl Default for State<'_> {
    fn default() -> Self {
        let valid = Valid { any: true, policies: BTreeSet::new() };
        Self { valid: Some(valid), explicit: u32::MAX, mapping: u32::MAX, any: u32::MAX }
    }
}

impl<'a> State<'a> {
    fn step(&mut self, certificate: &'a Certificate, is_anchor: bool, is_leaf: bool) -> Result<(), &'static str> {
        const NO_POLICY: &str =
            "a CA above requires a certificate policy that is valid for the whole path, and none is";
        let policies = &certificate.extensions().policies;
        let self_issued = certificate.is_self_issued();
        // 6.1.3 (d) and (e)
        let any_counts = self.any > 0 || (self_issued && !is_leaf);
        match &policies.asserted {
            Some(asserted) => self.valid = self.valid.take().and_then(|valid| valid.narrowed(asserted, any_counts)),
            None if is_anchor => {}
            None => self.valid = None,
        }
        if is_leaf {
            // 6.1.5 (a) and (b)
            self.explicit = self.explicit.saturating_sub(1);
            if policies.require_explicit == Some(0) {
                self.explicit = 0;
            }
        }
        // 6.1.3 (f), 6.1.5 (g)
        if self.explicit == 0 && self.valid.is_none() {
            return Err(NO_POLICY);
        }
        if is_leaf { Ok(()) } else { self.prepare(policies, self_issued) }
    }

    /// 6.1.4 (a), (b) and (h) to (j).
    fn prepare(&mut self, policies: &'a Policies, self_issued: bool) -> Result<(), &'static str> {
        if policies.mappings.iter().any(|(from, to)| **from == *ANY_POLICY || **to == *ANY_POLICY) {
            return Err("it maps a certificate policy to or from anyPolicy (RFC 5280 section 4.2.1.5)");
        }
        let may_map = self.mapping > 0;
        self.valid = self.valid.take().and_then(|valid| valid.mapped(&policies.mappings, may_map));
        for (counter, constraint) in [
            (&mut self.explicit, policies.require_explicit),
            (&mut self.mapping, policies.inhibit_mapping),
            (&mut self.any, policies.inhibit_any),
        ] {
            if !self_issued {
                *counter = counter.saturating_sub(1);
            }
            *counter = constraint.map_or(*counter, |skip| skip.min(*counter));
        }
        Ok(())
    }
}

impl<'a> Valid<'a> {
    /// Those that a certificate asserts as well.
    fn narrowed(mut self, asserted: &'a [Oid], any_counts: bool) -> Option<Self> {
        let any = any_counts && asserted.iter().any(|policy| **policy == *ANY_POLICY);
        if any {
            if self.any {
                self.policies.extend(asserted.iter().map(|policy| &**policy));
            }
        } else {
            let own = asserted.iter().map(|policy| &**policy).filter(|policy| *policy != ANY_POLICY);
            self.policies = own.filter(|policy| self.any || self.policies.contains(policy)).collect();
            self.any = false;
        }
        self.policies.remove(ANY_POLICY);
        self.some()
    }

    /// With the issuer's policies replaced by the subject's, or without those that would have to be where mapping is
    /// inhibited.
    fn mapped(mut self, mappings: &'a [(Oid, Oid)], may_map: bool) -> Option<Self> {
        let (mut gone, mut fresh) = (Vec::new(), Vec::new());
        for (from, to) in mappings {
            if self.any || self.policies.contains(&**from) {
                gone.push(&**from);
                fresh.push(&**to);
            }
        }
        for policy in gone {
            self.policies.remove(policy);
        }
        if may_map {
            self.policies.extend(fresh);
        }
        self.some()
    }

    fn some(self) -> Option<Self> {
        (self.any || !self.policies.is_empty()).then_some(self)
    }
}

fn certificate_policies(value: &[u8]) -> Result<Vec<Oid>, Malformed> {
    let mut list = der::only(value, der::SEQUENCE)?.inside();
    let mut policies: Vec<Oid> = Vec::new();
    while !list.is_empty() {
        let mut fields = list.expect(der::SEQUENCE)?.inside();
        let policy = oid(&mut fields)?;
        // Qualifiers are for people; section 6.1 only hands them through.
        fields.optional(der::SEQUENCE)?;
        fields.finish()?;
        // "A certificate policy OID MUST NOT appear more than once…"
        if policies.contains(&policy) || policies.len() == MAX_POLICIES {
            return Err(Malformed);
        }
        policies.push(policy);
    }
    if policies.is_empty() { Err(Malformed) } else { Ok(policies) }
}

fn policy_mappings(value: &[u8]) -> Result<Vec<(Oid, Oid)>, Malformed> {
    let mut list = der::only(value, der::SEQUENCE)?.inside();
    let mut mappings = Vec::new();
    while !list.is_empty() {
        let mut fields = list.expect(der::SEQUENCE)?.inside();
        mappings.push((oid(&mut fields)?, oid(&mut fields)?));
        fields.finish()?;
        if mappings.len() > MAX_POLICIES {
            return Err(Malformed);
        }
    }
    if mappings.is_empty() { Err(Malformed) } else { Ok(mappings) }
}

fn policy_constraints(value: &[u8]) -> Result<(Option<u32>, Option<u32>), Malformed> {
    let mut fields = der::only(value, der::SEQUENCE)?.inside();
    let explicit = fields.optional(der::context(0))?.map(|skip| skip_certs(skip.value)).transpose()?;
    let mapping = fields.optional(der::context(1))?.map(|skip| skip_certs(skip.value)).transpose()?;
    fields.finish()?;
    // "Conforming CAs MUST NOT issue certificates where policy constraints is an empty sequence."
    if explicit.is_none() && mapping.is_none() { Err(Malformed) } else { Ok((explicit, mapping)) }
}

/// `SkipCerts ::= INTEGER (0..MAX)`, saturated: no path is that long.
fn skip_certs(integer: &[u8]) -> Result<u32, Malformed> {
    match integer {
        [] | [0x80..=0xff, ..] => Err(Malformed),
        octets => Ok(octets.iter().fold(0, |n: u32, &octet| n.saturating_mul(256).saturating_add(octet.into()))),
    }
}

fn oid(fields: &mut Reader<'_>) -> Result<Oid, Malformed> {
    let oid = fields.expect(der::OID)?.value;
    if oid.is_empty() { Err(Malformed) } else { Ok(oid.into()) }
}
