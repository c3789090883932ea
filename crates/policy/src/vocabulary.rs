//! The schema, and the names of what is in it.

use std::str::FromStr;
use std::sync::LazyLock;

use cedar_policy::{Entities, EntityId, EntityTypeName, EntityUid, Schema, Validator};
use http::Method;

/// The schema that policies are validated against, in Cedar's own form.
pub const SCHEMA: &str = include_str!("schema.cedarschema");

/// Made of [`SCHEMA`] when it is first needed.
pub(crate) static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(Vocabulary::new);

pub(crate) struct Vocabulary {
    pub(crate) validator: Validator,
    /// Which of them are in which.
    pub(crate) actions: Entities,
    pub(crate) client: EntityTypeName,
    pub(crate) anonymous: EntityTypeName,
    pub(crate) route: EntityTypeName,
    pub(crate) texts: EntityTypeName,
    pub(crate) lists: EntityTypeName,
    /// By method, and the one for every other.
    methods: Vec<(Method, EntityUid)>,
    other: EntityUid,
}

impl Vocabulary {
    fn new() -> Self {
        const SOUND: &str = "the schema is part of the program, and a test reads it";
        let schema = Schema::from_str(SCHEMA).expect(SOUND);
        let kind = |name: &str| EntityTypeName::from_str(name).expect("a plain name");
        let action = |name: &str| EntityUid::from_type_name_and_id(kind("Action"), EntityId::new(name));
        let methods =
            [Method::GET, Method::HEAD, Method::OPTIONS, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        Self {
            actions: schema.action_entities().expect(SOUND),
            validator: Validator::new(schema),
            client: kind("Client"),
            anonymous: kind("Anonymous"),
            route: kind("Route"),
            texts: kind("Texts"),
            lists: kind("Lists"),
            methods: methods.map(|method| (method.clone(), action(method.as_str()))).into(),
            other: action("OTHER"),
        }
    }

    pub(crate) fn action(&self, method: &Method) -> EntityUid {
        let known = self.methods.iter().find(|(known, _)| known == method);
        known.map_or(&self.other, |(_, action)| action).clone()
    }
}

/// The entity of that kind and name.
pub(crate) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}
