//! An app and its classes of actors, with the rules that concern more than one field.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{EnvVar, Limits, Permissions, Restart, SpecError, Strategy};

/// The function that a command module exports.
pub const DEFAULT_ENTRYPOINT: &str = "_start";
/// More instances of a class than this are better spawned by an actor that supervises them.
const MAX_INSTANCES: u32 = 10_000;

/// A valid app: what runs in one pod, or in one `perigee run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSpec {
    name: String,
    actors: Vec<ActorClass>,
    strategy: Strategy,
}

impl AppSpec {
    /// Checks the rules that concern more than one field.
    ///
    /// # Errors
    /// The first rule that is broken, with a path below `actors_path` (such as `spec.actors`).
    pub fn new(name: impl Into<String>, actors: Vec<ActorClass>, actors_path: &str) -> Result<Self, SpecError> {
        let app = Self { name: name.into(), actors, strategy: Strategy::default() };
        app.validate(actors_path)?;
        Ok(app)
    }

    /// Name of the app.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its classes, in the order of the manifest, which is the order of starting.
    #[must_use]
    pub fn actors(&self) -> &[ActorClass] {
        &self.actors
    }

    /// The same app with a strategy.
    #[must_use]
    pub fn with_strategy(self, strategy: Strategy) -> Self {
        Self { strategy, ..self }
    }

    /// Which declared actors are started again with one that is.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The class of that name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&ActorClass> {
        self.actors.iter().find(|class| class.name.as_str() == name)
    }

    fn validate(&self, path: &str) -> Result<(), SpecError> {
        if self.actors.is_empty() {
            return Err(SpecError::NoActors { path: path.to_owned() });
        }
        let mut names = HashSet::new();
        for (index, class) in self.actors.iter().enumerate() {
            if !names.insert(class.name.as_str()) {
                return Err(SpecError::DuplicateClass { path: format!("{path}[{index}].name"), name: class.name.to_string() });
            }
        }
        for (index, class) in self.actors.iter().enumerate() {
            class.validate(&format!("{path}[{index}]"))?;
            for (entry, spawned) in class.permissions.spawn.iter().enumerate() {
                if !names.contains(spawned.as_str()) {
                    let known: Vec<_> = self.actors.iter().map(|class| class.name.as_str()).collect();
                    return Err(SpecError::UnknownClass {
                        path: format!("{path}[{index}].permissions.spawn[{entry}]"),
                        name: spawned.to_string(),
                        known: known.join(", "),
                    });
                }
            }
        }
        if self.actors.iter().all(|class| class.instances == 0) {
            return Err(SpecError::NothingStarts { path: path.to_owned() });
        }
        Ok(())
    }
}

/// A kind of actor: what it runs, with what, and how it is restarted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ActorClass {
    /// Name of the class: lower-case letters, digits and dashes.
    pub name: ClassName,
    /// The module's path in the image, or the title of its layer. Optional when the image has one module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The exported function that an actor of this class starts with.
    #[serde(default = "default_entrypoint", skip_serializing_if = "is_default_entrypoint")]
    pub entrypoint: String,
    /// Arguments after the program's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables; nothing else of the container's environment is seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Actors of this class that are started with the app and restarted as `restart` says. 0: only spawned by others.
    #[serde(default = "default_instances")]
    pub instances: u32,
    /// When such an actor is started again.
    #[serde(default)]
    pub restart: Restart,
    /// What each actor may use.
    #[serde(default)]
    pub limits: Limits,
    /// What each actor may touch. Absent: nothing.
    #[serde(default)]
    pub permissions: Permissions,
}

impl ActorClass {
    /// A class with the default of everything: one instance, no permissions.
    #[must_use]
    pub fn new(name: ClassName) -> Self {
        Self {
            name,
            module: None,
            entrypoint: default_entrypoint(),
            args: Vec::new(),
            env: Vec::new(),
            instances: default_instances(),
            restart: Restart::default(),
            limits: Limits::default(),
            permissions: Permissions::default(),
        }
    }

    fn validate(&self, path: &str) -> Result<(), SpecError> {
        if self.instances > MAX_INSTANCES {
            return Err(SpecError::OutOfRange {
                path: format!("{path}.instances"),
                value: self.instances.to_string(),
                range: "0 to 10000",
            });
        }
        if self.entrypoint.is_empty() {
            return Err(SpecError::field(
                format!("{path}.entrypoint"),
                "is empty: write the name of an exported function, or leave it out for \"_start\"",
            ));
        }
        if let Some(module) = &self.module
            && (module.is_empty() || module.contains('\0') || module.split('/').any(|part| part == ".."))
        {
            return Err(SpecError::field(
                format!("{path}.module"),
                format_args!("{module:?} is no path in the image: write one such as \"web.wasm\""),
            ));
        }
        if let Some(index) = self.args.iter().position(|arg| arg.contains('\0')) {
            return Err(SpecError::field(format!("{path}.args[{index}]"), "an argument has no NUL byte"));
        }
        if self.restart.backoff.0 > self.restart.max_backoff.0 {
            let restart = &self.restart;
            return Err(SpecError::field(
                format!("{path}.restart.maxBackoff"),
                format_args!("{} is less than backoff, which is {}: write that or more", restart.max_backoff, restart.backoff),
            ));
        }
        self.limits.validate(&format!("{path}.limits"))?;
        let mut names = HashSet::new();
        for (index, variable) in self.env.iter().enumerate() {
            let path = format!("{path}.env[{index}]");
            variable.validate(&path)?;
            if !names.insert(variable.name.as_str()) {
                return Err(SpecError::DuplicateVariable { path, name: variable.name.clone() });
            }
        }
        for (index, folder) in self.permissions.filesystem.iter().enumerate() {
            folder.validate(&format!("{path}.permissions.filesystem[{index}]"))?;
        }
        Ok(())
    }
}

fn default_entrypoint() -> String {
    DEFAULT_ENTRYPOINT.to_owned()
}
fn is_default_entrypoint(entrypoint: &str) -> bool {
    entrypoint == DEFAULT_ENTRYPOINT
}
const fn default_instances() -> u32 {
    1
}

/// Name of a class: an RFC 1123 label, so that it can stand in names of Kubernetes objects and variables.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ClassName(String);

impl ClassName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClassName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClassName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let good =
            !text.is_empty() && text.len() <= 63 && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-');
        if good {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("{text:?} is no name of a class: write lower-case letters, digits and dashes, such as \"web\""))
    }
}

impl<'de> Deserialize<'de> for ClassName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ClassName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClassName".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63 })
    }
}
