//! How an app travels in its pod: JSON in one annotation, with a version and a size cap.
//!
//! Pod authors can write annotations, so [`decode`] takes its input for hostile. It grants nothing beyond what the
//! container itself has: cgroup, namespaces, mounts and network stay the outer bound.

use serde::{Deserialize, Serialize};

use crate::{ActorClass, AppSpec, SpecError, Strategy};

/// The annotation's key.
pub const KEY: &str = "perigee.dev/app";
/// The annotation with the seconds that the worker gives its actors to finish after SIGTERM, before the kubelet kills it.
/// The operator writes it; the author of a plain pod may.
pub const GRACE_KEY: &str = "perigee.dev/grace-seconds";
/// The form that this code writes and reads.
pub const VERSION: u64 = 1;
/// Most bytes of the annotation's value: half of what the API server lets all annotations of an object take together
/// (256 KiB, `TotalAnnotationSizeLimitB` in apimachinery).
pub const CAP: usize = 128 << 10;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    version: u64,
    name: String,
    actors: Vec<ActorClass>,
    #[serde(default, skip_serializing_if = "Strategy::is_default")]
    strategy: Strategy,
}

/// Writes an app as the annotation's value.
///
/// # Errors
/// [`SpecError::AnnotationSize`] when it is larger than [`CAP`].
pub fn encode(app: &AppSpec) -> Result<String, SpecError> {
    let wire = Wire { version: VERSION, name: app.name().to_owned(), actors: app.actors().to_vec(), strategy: app.strategy() };
    let text = serde_json::to_string(&wire).expect("strings and numbers always serialize");
    check_size(&text)?;
    Ok(text)
}

/// Reads the annotation's value.
///
/// # Errors
/// Whatever is wrong with it, by its path; a version other than [`VERSION`]; more than [`CAP`] bytes.
pub fn decode(text: &str) -> Result<AppSpec, SpecError> {
    check_size(text)?;
    check_version(text)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let wire: Wire = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| SpecError::at(KEY, &error))?;
    deserializer.end().map_err(|error| SpecError::field(KEY, error))?;
    Ok(AppSpec::new(wire.name, wire.actors, &format!("{KEY}.actors"))?.with_strategy(wire.strategy))
}

fn check_size(text: &str) -> Result<(), SpecError> {
    if text.len() > CAP {
        return Err(SpecError::AnnotationSize { key: KEY, bytes: text.len(), cap: CAP });
    }
    Ok(())
}

/// The version is looked at first and alone, so that a newer form is named as such, not as a list of unknown keys.
fn check_version(text: &str) -> Result<(), SpecError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    let found = serde_json::from_str::<Versioned>(text).map_err(|error| SpecError::field(KEY, error))?.version;
    if found != VERSION {
        return Err(SpecError::AnnotationVersion { key: KEY, found, known: VERSION });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
