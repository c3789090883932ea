//! A service model of botocore, reduced to what the served operations reach.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::operations::Level;

/// One service.
pub(crate) struct Model {
    /// Name of its directory in botocore.
    pub name: String,
    /// All of its operations.
    pub operations: BTreeMap<String, Value>,
    /// The operations that we have, and how far.
    pub served: BTreeMap<String, Level>,
    /// Shapes that inputs reach.
    pub inputs: BTreeSet<String>,
    /// Shapes that outputs reach.
    pub outputs: BTreeSet<String>,
    metadata: Value,
    shapes: BTreeMap<String, Value>,
}

impl Model {
    /// Of botocore's JSON; finds what the served operations reach.
    pub(crate) fn of(name: &str, mut json: Value, served: BTreeMap<String, Level>) -> Result<Self, String> {
        let mut take = |key: &str| json.get_mut(key).map(Value::take).unwrap_or_default();
        let (metadata, operations, shapes) = (take("metadata"), take("operations"), take("shapes"));
        let map = |value: Value| match value {
            Value::Object(map) => map.into_iter().collect(),
            _ => BTreeMap::new(),
        };
        let mut model = Self {
            name: name.to_owned(),
            operations: map(operations),
            served: BTreeMap::new(),
            inputs: BTreeSet::new(),
            outputs: BTreeSet::new(),
            metadata,
            shapes: map(shapes),
        };
        for operation in served.keys() {
            if !model.operations.contains_key(operation) {
                return Err(format!("AWS's {name} has no operation {operation}"));
            }
            let [mut inputs, mut outputs] = [BTreeSet::new(), BTreeSet::new()];
            model.input(operation).into_iter().for_each(|shape| model.reach(shape, &mut inputs));
            model.output(operation).into_iter().for_each(|shape| model.reach(shape, &mut outputs));
            model.inputs.extend(inputs);
            model.outputs.extend(outputs);
        }
        model.served = served;
        Ok(model)
    }

    /// A text of the metadata; empty when it is not there.
    pub(crate) fn metadata(&self, key: &str) -> &str {
        self.metadata[key].as_str().unwrap_or_default()
    }

    /// A shape by name.
    pub(crate) fn shape(&self, name: &str) -> Result<&Value, String> {
        self.shapes.get(name).ok_or_else(|| format!("AWS's {} has no shape {name}", self.name))
    }

    /// The structure that an operation takes.
    pub(crate) fn input(&self, operation: &str) -> Option<&str> {
        self.operations.get(operation)?["input"]["shape"].as_str()
    }

    /// The namespace of the service's XML; empty where it speaks JSON. Where the metadata has none, inputs name it.
    pub(crate) fn xml_namespace(&self) -> &str {
        let of_inputs = || self.operations.values().find_map(|o| o["input"]["xmlNamespace"]["uri"].as_str());
        match self.metadata("xmlNamespace") {
            "" => of_inputs().unwrap_or_default(),
            namespace => namespace,
        }
    }

    /// Whether answers are XML, which is written by the shapes.
    pub(crate) fn answers_xml(&self) -> bool {
        matches!(self.metadata("protocol"), "query" | "rest-xml")
    }

    /// The structure that an operation answers.
    pub(crate) fn output(&self, operation: &str) -> Option<&str> {
        self.operations.get(operation)?["output"]["shape"].as_str()
    }

    fn reach(&self, name: &str, reached: &mut BTreeSet<String>) {
        let Some(shape) = self.shapes.get(name).filter(|_| reached.insert(name.to_owned())) else { return };
        for (_, member) in members(shape) {
            self.reach(target(member), reached);
        }
        for part in ["member", "key", "value"] {
            self.reach(target(&shape[part]), reached);
        }
    }
}

/// Members of a structure in the model's order, which is alphabetical once read.
pub(crate) fn members(shape: &Value) -> impl Iterator<Item = (&str, &Value)> {
    shape["members"].as_object().into_iter().flatten().map(|(name, member)| (name.as_str(), member))
}

/// Whether a member of a structure must be there.
pub(crate) fn is_required(shape: &Value, member: &str) -> bool {
    shape["required"].as_array().is_some_and(|required| required.iter().any(|name| name == member))
}

/// The name of the shape that a reference points to.
pub(crate) fn target(reference: &Value) -> &str {
    reference["shape"].as_str().unwrap_or_default()
}
