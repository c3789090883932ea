//! A service model of botocore, reduced to what the served operations reach.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One service.
pub(crate) struct Model {
    /// Name of its directory in botocore.
    pub name: String,
    /// All of its operations.
    pub operations: BTreeMap<String, Value>,
    /// The operations that we have.
    pub served: BTreeSet<String>,
    /// Shapes that inputs reach.
    pub inputs: BTreeSet<String>,
    /// Shapes that outputs reach.
    pub outputs: BTreeSet<String>,
    metadata: Value,
    shapes: BTreeMap<String, Value>,
}

impl Model {
    /// Reads the newest version of the service and finds what the served operations reach.
    pub(crate) fn load(botocore: &Path, name: &str, served: &BTreeSet<String>) -> Result<Self, String> {
        let mut json = read(botocore, name)?;
        let mut take = |key: &str| json.get_mut(key).map(Value::take).unwrap_or_default();
        let (metadata, operations, shapes) = (take("metadata"), take("operations"), take("shapes"));
        let map = |value: Value| match value {
            Value::Object(map) => map.into_iter().collect(),
            _ => BTreeMap::new(),
        };
        let mut model = Self {
            name: name.to_owned(),
            operations: map(operations),
            served: served.clone(),
            inputs: BTreeSet::new(),
            outputs: BTreeSet::new(),
            metadata,
            shapes: map(shapes),
        };
        for operation in served {
            if !model.operations.contains_key(operation) {
                return Err(format!("AWS's {name} has no operation {operation}"));
            }
            let [mut inputs, mut outputs] = [BTreeSet::new(), BTreeSet::new()];
            model.input(operation).into_iter().for_each(|shape| model.reach(shape, &mut inputs));
            model.output(operation).into_iter().for_each(|shape| model.reach(shape, &mut outputs));
            model.inputs.extend(inputs);
            model.outputs.extend(outputs);
        }
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

fn read(botocore: &Path, service: &str) -> Result<Value, String> {
    let directory = botocore.join("data").join(service);
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let entries = fs::read_dir(&directory).map_err(|error| failed(&directory, error))?;
    let versions: BTreeSet<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    let newest = versions.last().ok_or_else(|| format!("{} is empty", directory.display()))?;
    let (plain, packed) = (newest.join("service-2.json"), newest.join("service-2.json.gz"));
    let mut text = String::new();
    if plain.exists() {
        text = fs::read_to_string(&plain).map_err(|error| failed(&plain, error))?;
    } else {
        let file = fs::File::open(&packed).map_err(|error| failed(&packed, error))?;
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).map_err(|error| failed(&packed, error))?;
    }
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", newest.display()))
}
