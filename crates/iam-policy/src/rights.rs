//! Policies of several kinds that have to agree.

use std::sync::Arc;

use crate::{Decision, Policy, Request, decide};

/// What somebody may do.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// Their own policies, those of their groups included.
    pub identity: Vec<Arc<Policy>>,
    /// The permissions boundary: what it does not allow, nothing else can.
    pub boundary: Option<Arc<Policy>>,
    /// The policies that a session was given: it may do what they allow as well.
    pub session: Option<Vec<Arc<Policy>>>,
}

/// Why something may not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whose policies refuse it.
    pub layer: Layer,
    /// A statement denies it; else none allows it.
    pub explicit: bool,
}

/// A kind of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Of who calls.
    Identity,
    /// The permissions boundary.
    Boundary,
    /// Of the session.
    Session,
}

impl Rights {
    /// Whether they allow it all together. One denial outweighs all that allows.
    pub fn decide(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let layers = [
            (Layer::Identity, Some(decide(self.identity.iter().map(AsRef::as_ref), request))),
            (Layer::Boundary, self.boundary.as_ref().map(|policy| policy.decide(request))),
            (Layer::Session, self.session.as_ref().map(|all| decide(all.iter().map(AsRef::as_ref), request))),
        ];
        for (refusing, explicit) in [(Decision::Denied, true), (Decision::NotAllowed, false)] {
            if let Some((layer, _)) = layers.iter().find(|(_, decision)| *decision == Some(refusing)) {
                return Err(Refusal { layer: *layer, explicit });
            }
        }
        Ok(())
    }
}

impl Refusal {
    /// The end of AWS's sentence about it.
    pub fn because(&self, action: &str) -> String {
        let kind = match self.layer {
            Layer::Identity => "identity-based policy",
            Layer::Boundary => "permissions boundary",
            Layer::Session => "session policy",
        };
        match (self.explicit, self.layer) {
            (true, Layer::Identity) => format!("with an explicit deny in an {kind}"),
            (true, _) => format!("with an explicit deny in a {kind}"),
            (false, _) => format!("because no {kind} allows the {action} action"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Kind};

    struct Nothing;

    impl Context for Nothing {
        fn values(&self, _: &str) -> Option<Vec<String>> {
            None
        }
    }

    fn policy(effect: &str, action: &str) -> Arc<Policy> {
        let text = format!(r#"{{"Statement": {{"Effect": "{effect}", "Action": "{action}", "Resource": "*"}}}}"#);
        Arc::new(Policy::parse(&text, Kind::Identity).unwrap())
    }

    #[test]
    fn all_kinds_have_to_agree() {
        let (all, reads, no) = (policy("Allow", "*"), policy("Allow", "s3:Get*"), policy("Deny", "s3:PutObject"));
        let rights = |identity: &[&Arc<Policy>], boundary: Option<&Arc<Policy>>, session: Option<&[&Arc<Policy>]>| {
            let list = |policies: &[&Arc<Policy>]| policies.iter().map(|policy| Arc::clone(policy)).collect::<Vec<_>>();
            Rights { identity: list(identity), boundary: boundary.cloned(), session: session.map(list) }
        };
        for (rights, action, because) in [
            (rights(&[&all], None, None), "s3:PutObject", None),
            (
                rights(&[], None, None),
                "s3:PutObject",
                Some("because no identity-based policy allows the s3:PutObject action"),
            ),
            (
                rights(&[&all, &no], None, None),
                "s3:PutObject",
                Some("with an explicit deny in an identity-based policy"),
            ),
            (
                rights(&[&all], Some(&reads), None),
                "s3:PutObject",
                Some("because no permissions boundary allows the s3:PutObject action"),
            ),
            (
                rights(&[&reads], Some(&all), None),
                "s3:PutObject",
                Some("because no identity-based policy allows the s3:PutObject action"),
            ),
            (rights(&[&all], Some(&no), None), "s3:PutObject", Some("with an explicit deny in a permissions boundary")),
            (rights(&[&all], None, Some(&[&reads])), "s3:GetObject", None),
            (
                rights(&[&all], None, Some(&[&reads])),
                "s3:PutObject",
                Some("because no session policy allows the s3:PutObject action"),
            ),
            (
                rights(&[&all], None, Some(&[])),
                "s3:GetObject",
                Some("because no session policy allows the s3:GetObject action"),
            ),
            (rights(&[], None, Some(&[&all, &no])), "s3:PutObject", Some("with an explicit deny in a session policy")),
        ] {
            let found = rights.decide(&Request::new(action, &["*"], &Nothing));
            assert_eq!(found.err().map(|refusal| refusal.because(action)).as_deref(), because, "{rights:?}");
        }
    }
}
