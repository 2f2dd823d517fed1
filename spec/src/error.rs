//! What can be wrong with a specification. Every message names the field, the value and what to write instead.

/// A rule of the specification that an input breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The text is not of the expected form: an unknown key, a wrong type, a value that does not parse.
    #[error("{path}: {reason}")]
    Field {
        /// Where, as `spec.actors[0].limits.memory`.
        path: String,
        /// What is wrong and what to write.
        reason: String,
    },
    /// `apiVersion` or `kind` is not an ActorApp's.
    #[error("{path}: {found:?} is not {expected:?}: this is no manifest that Perigee runs")]
    NotAnActorApp {
        /// `apiVersion` or `kind`.
        path: &'static str,
        /// What the manifest says.
        found: String,
        /// What it must say.
        expected: String,
    },
    /// No actor class is declared.
    #[error("{path}: no actors: declare at least one class, such as {{name: main, instances: 1}}")]
    NoActors {
        /// The list.
        path: String,
    },
    /// Nothing would be started.
    #[error("{path}: every class has `instances: 0`, so nothing would start: give one of them `instances: 1`")]
    NothingStarts {
        /// The list.
        path: String,
    },
    /// Two classes have one name.
    #[error("{path}: the class {name:?} is declared twice: give one of them another name")]
    DuplicateClass {
        /// The second one's name field.
        path: String,
        /// The name.
        name: String,
    },
    /// A class may spawn one that nobody declares.
    #[error("{path}: no class {name:?}: declared are {known}")]
    UnknownClass {
        /// The entry of `spawn`.
        path: String,
        /// The name in it.
        name: String,
        /// The declared names.
        known: String,
    },
    /// One variable is given twice.
    #[error("{path}: the variable {name:?} is set twice")]
    DuplicateVariable {
        /// The second one.
        path: String,
        /// Its name.
        name: String,
    },
    /// A value is outside what is possible.
    #[error("{path}: {value} is out of range: write {range}")]
    OutOfRange {
        /// The field.
        path: String,
        /// What it says.
        value: String,
        /// What it may say.
        range: &'static str,
    },
    /// The annotation was written for another version.
    #[error("{key}: version {found} of the app specification, but this node knows version {known}: upgrade Perigee on the node")]
    AnnotationVersion {
        /// The annotation.
        key: &'static str,
        /// Its version.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// The annotation is larger than the cap.
    #[error(
        "{key}: {bytes} bytes, more than the {cap} that an app specification may have: declare fewer classes or shorter lists"
    )]
    AnnotationSize {
        /// The annotation.
        key: &'static str,
        /// Its size in bytes.
        bytes: usize,
        /// The cap in bytes.
        cap: usize,
    },
}

impl SpecError {
    pub(crate) fn field(path: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Field { path: path.into(), reason: reason.to_string() }
    }

    /// Turns a deserializer's error, with the path that it happened at, into ours.
    pub(crate) fn at<E: std::fmt::Display>(prefix: &str, error: &serde_path_to_error::Error<E>) -> Self {
        let inner = error.path().to_string();
        let path = match (prefix, inner.as_str()) {
            (prefix, ".") => prefix.to_owned(),
            ("", inner) => inner.to_owned(),
            (prefix, inner) => format!("{prefix}.{inner}"),
        };
        // serde_yaml puts a path of its own in front, which the longer one here covers.
        let reason = error.inner().to_string();
        let reason = match reason.split_once(": ") {
            Some((own, rest)) if path.starts_with(own) => rest.to_owned(),
            _ => reason,
        };
        Self::field(path, reason)
    }
}
