//! API keys and usage plans, compiled: a stage finds a key by what the client sent, and with it what is left of its plan.
//!
//! Values are opened once, to take their digest under a key of this process: what is compared is digests that nobody outside
//! can make, so that no comparison tells how close a guess was, and no snapshot holds a value.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;

use super::Fault;
use crate::resource::{self, PlanStage, PlanThrottle, RouteSettings, UsagePlan, UsagePlanKey};
use crate::state::{Nested, Table};
use crate::{Keyring, Meter, Same, State, Throttle, UnixMillis};

type Digest = [u8; 32];

/// The API keys that a stage takes.
#[derive(Debug)]
pub struct StageKeys {
    digests: Arc<Digests>,
    by_digest: HashMap<Digest, Arc<StageKey>>,
    /// Those that have the stage.
    plans: Vec<Arc<UsagePlan>>,
}

/// An API key at a stage.
#[derive(Debug)]
pub struct StageKey {
    /// Over all stages of its plan.
    pub meter: Arc<Meter>,
    /// By `Route::key`: of this key alone.
    methods: BTreeMap<String, Arc<Throttle>>,
}

/// All API keys that can be used, with their meters.
#[derive(Debug)]
pub(super) struct OpenedKeys {
    digests: Arc<Digests>,
    /// By id.
    keys: BTreeMap<String, OpenedKey>,
    /// By plan id, then key id.
    meters: BTreeMap<(String, String), Arc<Meter>>,
    // What it was made of; while these are the same, so is it.
    source: Table<resource::ApiKey>,
    plan_keys: Nested<UsagePlanKey>,
    plans: Table<UsagePlan>,
}

#[derive(Clone, Debug)]
struct OpenedKey {
    digest: Digest,
    source: Arc<resource::ApiKey>,
}

/// Makes digests.
struct Digests(hmac::Key);

impl StageKeys {
    /// The key that has this value.
    pub fn find(&self, value: &[u8]) -> Option<&Arc<StageKey>> {
        self.by_digest.get(&self.digests.of(value))
    }

    /// Of a stage; `None`: no usage plan has it. `previous` is kept where nothing has changed, and its buckets go on.
    pub(super) fn of(
        stage: &resource::Stage,
        state: &State,
        keys: &OpenedKeys,
        previous: Option<&Arc<Self>>,
    ) -> Option<Arc<Self>> {
        let place =
            |plan: &UsagePlan| plan.stages.iter().position(|at| at.api_id == stage.api_id && at.stage == stage.name);
        let plans: Vec<_> = state.usage_plans.values().filter(|plan| place(plan).is_some()).cloned().collect();
        let mut by_digest = HashMap::new();
        for plan in &plans {
            let at = place(plan).and_then(|place| plan.stages.get(place));
            for of_plan in State::of(&state.usage_plan_keys, &plan.id) {
                let Some((digest, meter)) = keys.find(of_plan) else { continue };
                let before = previous.and_then(|previous| previous.by_digest.get(&digest));
                let methods = at.map(|at| StageKey::methods(at, before)).unwrap_or_default();
                by_digest.insert(digest, Arc::new(StageKey { meter, methods }));
            }
        }
        let next = Self { digests: keys.digests.clone(), by_digest, plans };
        match previous.filter(|previous| previous.same(&next)) {
            Some(same) => Some(same.clone()),
            None if next.plans.is_empty() => None,
            None => Some(Arc::new(next)),
        }
    }

    fn same(&self, other: &Self) -> bool {
        let same_plans = self.plans.len() == other.plans.len()
            && self.plans.iter().zip(&other.plans).all(|(a, b)| Arc::ptr_eq(a, b));
        let same_key = |(digest, key): (&Digest, &Arc<StageKey>)| {
            other.by_digest.get(digest).is_some_and(|found| Arc::ptr_eq(&found.meter, &key.meter))
        };
        same_plans && self.by_digest.len() == other.by_digest.len() && self.by_digest.iter().all(same_key)
    }
}

impl StageKey {
    /// `$context.identity.apiKeyId`
    pub fn id(&self) -> &str {
        &self.meter.key_id
    }

    /// Takes a token of the method (a `Route::key`) and one of the plan; `false`: there is none.
    pub fn admit(&self, method: &str, at: UnixMillis) -> bool {
        let of_method = self.methods.get(method);
        of_method.is_none_or(|throttle| throttle.admit(at))
            && self.meter.throttle.as_ref().is_none_or(|throttle| throttle.admit(at))
    }

    fn methods(at: &PlanStage, before: Option<&Arc<Self>>) -> BTreeMap<String, Arc<Throttle>> {
        let bucket = |(setting, limits): (&String, &PlanThrottle)| {
            let (path, method) = setting.rsplit_once('/')?;
            // The root's own is `//GET`, or `/GET`.
            let path = if path.is_empty() { "/" } else { path };
            let key = format!("{method} {path}");
            let throttle = limits.bucket(before.and_then(|before| before.methods.get(&key)))?;
            Some((key, throttle))
        };
        at.throttle.iter().filter_map(bucket).collect()
    }
}

impl OpenedKeys {
    /// Opens the keys that are enabled and new since `previous`. A value that does not open lets nobody in.
    pub(super) fn of(
        state: &State,
        previous: Option<&Arc<Self>>,
        keyring: &Keyring,
        faults: &mut Vec<Fault>,
    ) -> Option<Arc<Self>> {
        if let Some(same) = previous.filter(|previous| previous.is_of(state)) {
            return Some(same.clone());
        }
        if state.api_keys.is_empty() {
            return None;
        }
        let digests = match previous {
            Some(previous) => previous.digests.clone(),
            None => match Digests::new() {
                Ok(digests) => Arc::new(digests),
                Err(what) => {
                    faults.push(Fault { name: "API keys".to_owned(), what });
                    return None;
                }
            },
        };
        let mut keys = BTreeMap::new();
        for key in state.api_keys.values().filter(|key| key.enabled) {
            let known = previous.and_then(|previous| previous.keys.get(&key.id));
            let opened = match known.filter(|known| Arc::ptr_eq(&known.source, key)) {
                Some(known) => Ok(known.clone()),
                None => OpenedKey::of(key, keyring, &digests),
            };
            match opened {
                Ok(opened) => drop(keys.insert(key.id.clone(), opened)),
                Err(what) => faults.push(Fault { name: format!("API key {}", key.id), what }),
            }
        }
        Some(Arc::new(Self {
            digests,
            keys,
            meters: meters(state, previous),
            source: state.api_keys.clone(),
            plan_keys: state.usage_plan_keys.clone(),
            plans: state.usage_plans.clone(),
        }))
    }

    /// What every key of a plan may do and has done, those that are disabled included.
    pub(super) fn meters(&self) -> impl Iterator<Item = &Arc<Meter>> {
        self.meters.values()
    }

    pub(super) fn meter(&self, plan_id: &str, key_id: &str) -> Option<&Arc<Meter>> {
        self.meters.get(&(plan_id.to_owned(), key_id.to_owned()))
    }

    fn find(&self, of_plan: &UsagePlanKey) -> Option<(Digest, Arc<Meter>)> {
        let key = self.keys.get(&of_plan.key_id)?;
        Some((key.digest, self.meter(&of_plan.plan_id, &of_plan.key_id)?.clone()))
    }

    fn is_of(&self, state: &State) -> bool {
        self.source.is_same(&state.api_keys)
            && self.plan_keys.is_same(&state.usage_plan_keys)
            && self.plans.is_same(&state.usage_plans)
    }
}

fn meters(state: &State, previous: Option<&Arc<OpenedKeys>>) -> BTreeMap<(String, String), Arc<Meter>> {
    let mut meters = BTreeMap::new();
    for plan in state.usage_plans.values() {
        for of_plan in State::of(&state.usage_plan_keys, &plan.id) {
            let before = previous.and_then(|previous| previous.meter(&plan.id, &of_plan.key_id));
            let is_same =
                previous.and_then(|previous| previous.plans.get(&plan.id)).is_some_and(|old| Arc::ptr_eq(old, plan));
            if let Some(same) = before.filter(|_| is_same) {
                meters.insert((plan.id.clone(), of_plan.key_id.clone()), same.clone());
                continue;
            }
            let bucket = before.and_then(|before| before.throttle.as_ref());
            let throttle = plan.throttle.as_ref().and_then(|limits| limits.bucket(bucket));
            let meter = Meter::new(&plan.id, &of_plan.key_id, throttle, plan.quota, before.map(|before| &**before));
            meters.insert((plan.id.clone(), of_plan.key_id.clone()), Arc::new(meter));
        }
    }
    meters
}

impl PlanThrottle {
    fn bucket(&self, previous: Option<&Arc<Throttle>>) -> Option<Arc<Throttle>> {
        let settings = RouteSettings {
            throttling_burst_limit: self.burst,
            throttling_rate_limit: self.rate,
            ..RouteSettings::default()
        };
        Throttle::of(Some(&settings), &RouteSettings::default(), previous)
    }
}

impl OpenedKey {
    fn of(key: &Arc<resource::ApiKey>, keyring: &Keyring, digests: &Digests) -> Result<Self, String> {
        let value = keyring.open(&resource::ApiKey::sealed_for(&key.id), &key.value);
        let value = value.map_err(|error| error.to_string())?;
        Ok(Self { digest: digests.of(&value), source: key.clone() })
    }
}

impl Digests {
    fn new() -> Result<Self, String> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        key.map(Self).map_err(|_| "there are no random bytes".to_owned())
    }

    fn of(&self, value: &[u8]) -> Digest {
        let tag = hmac::sign(&self.0, value);
        let mut digest = [0; 32];
        digest.copy_from_slice(tag.as_ref());
        digest
    }
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digests")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Change;

    fn key(keyring: &Keyring, id: &str, value: &str, enabled: bool) -> resource::ApiKey {
        resource::ApiKey {
            id: id.into(),
            region: "us-east-1".into(),
            name: id.into(),
            description: None,
            customer_id: None,
            enabled,
            value: keyring.seal(&resource::ApiKey::sealed_for(id), value.as_bytes()).unwrap(),
            created: 0,
            updated: 0,
            tags: BTreeMap::new(),
        }
    }

    fn plan(id: &str, limits: &[(&str, u32)]) -> UsagePlan {
        let limit = |burst: u32| PlanThrottle { burst: Some(burst), rate: Some(0.001) };
        let throttle = limits.iter().map(|(method, burst)| ((*method).to_owned(), limit(*burst))).collect();
        UsagePlan {
            id: id.into(),
            region: "us-east-1".into(),
            name: id.into(),
            description: None,
            product_code: None,
            stages: vec![PlanStage { api_id: "a".into(), stage: "s".into(), throttle }],
            throttle: Some(limit(3)),
            quota: None,
            tags: BTreeMap::new(),
        }
    }

    fn of_plan(plan_id: &str, key_id: &str) -> Change {
        Change::put(&UsagePlanKey { plan_id: plan_id.into(), key_id: key_id.into() })
    }

    fn stage() -> resource::Stage {
        serde_json::from_value(serde_json::json!({"api_id": "a", "name": "s", "description": null, "deployment_id": null,
            "auto_deploy": false, "access_log": null, "created": 0, "updated": 0, "last_deployment_status_message": null,
            "api_gateway_managed": false}))
        .unwrap()
    }

    #[test]
    fn a_key_is_found_by_its_value_and_its_buckets_go_on() {
        let keyring = Keyring::new(&[7; 32]).unwrap();
        let mut state = State::default();
        let mut faults = Vec::new();
        let keys =
            [key(&keyring, "k1", "one", true), key(&keyring, "k2", "two", true), key(&keyring, "k3", "off", false)];
        let moved = resource::ApiKey { id: "k4".into(), ..keys[0].clone() };
        let puts = keys.iter().chain([&moved]).map(Change::put);
        let plans = [Change::put(&plan("p", &[("/x/GET", 2), ("//GET", 1)])), Change::put(&plan("other", &[]))];
        let members = ["k1", "k3", "k4"].map(|id| of_plan("p", id));
        state.apply(1, &puts.chain(plans).chain(members).collect::<Vec<_>>()).unwrap();

        let opened = OpenedKeys::of(&state, None, &keyring, &mut faults).unwrap();
        assert_eq!(
            (faults.len(), &*faults[0].name),
            (1, "API key k4"),
            "a value that was moved to another key does not open"
        );
        let first = StageKeys::of(&stage(), &state, &opened, None).unwrap();
        for (value, found) in [("one", true), ("two", false), ("off", false), ("", false), ("One", false)] {
            assert_eq!(first.find(value.as_bytes()).is_some(), found, "{value}");
        }
        let one = first.find(b"one").unwrap();
        let passed = |method: &str| (0..9).filter(|_| one.admit(method, 0)).count();
        assert_eq!((passed("GET /x"), passed("GET /")), (2, 1), "the method's own");
        assert_eq!(passed("GET /y"), 0, "the plan's, of which three were taken");

        // Another key changes nothing for those that are there.
        state.apply(2, &[Change::put(&key(&keyring, "k5", "five", true)), of_plan("other", "k2")]).unwrap();
        let again = OpenedKeys::of(&state, Some(&opened), &keyring, &mut faults).unwrap();
        let second = StageKeys::of(&stage(), &state, &again, Some(&first)).unwrap();
        assert!(Arc::ptr_eq(
            second.find(b"one").unwrap().meter.throttle.as_ref().unwrap(),
            one.meter.throttle.as_ref().unwrap()
        ));
        assert_eq!((0..9).filter(|_| second.find(b"one").unwrap().admit("GET /x", 0)).count(), 0);
        assert!(second.find(b"two").is_some());
        let third = StageKeys::of(&stage(), &state, &again, Some(&second)).unwrap();
        assert!(Arc::ptr_eq(&second, &third));
        state.apply(3, &[Change::delete(&keys[0])]).unwrap();
        let without = OpenedKeys::of(&state, Some(&again), &keyring, &mut faults).unwrap();
        assert!(StageKeys::of(&stage(), &state, &without, Some(&third)).unwrap().find(b"one").is_none());
    }
}
