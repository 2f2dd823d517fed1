//! A class of actors, ready to run: its specification with the program and the values that only the host knows.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use perigee_spec::{ActorClass, EnvVar, Folder, container_variable};

use crate::actor::ActorLimits;
use crate::configuration::Right;
use crate::engine::Program;
use crate::folder::MountedFolder;

/// A class that can be spawned.
pub struct Class {
    pub(crate) name: Arc<str>,
    pub(crate) spec: ActorClass,
    /// Of each of its actors, in bytes: that of the specification, until the container's is changed.
    pub(crate) memory: AtomicU64,
    pub(crate) program: Program,
    /// Program name and arguments.
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) folders: Vec<MountedFolder>,
    /// Processor time of each of its actors, in units of [`Fuel`](crate::engine::Fuel); 0: no limit.
    pub(crate) fuel: u64,
    /// Bytes of the host that each of its actors is charged for it: 0 for the classes of the app.
    pub(crate) held: u64,
}

/// Why a class cannot be made ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClassError {
    /// The module has no such function.
    #[error(
        "class {class:?}: the module {module} exports no function {entrypoint:?} without parameters and results: its functions are {found}"
    )]
    Entrypoint {
        /// The class.
        class: String,
        /// Its module.
        module: String,
        /// What it should start with.
        entrypoint: String,
        /// What could be meant.
        found: String,
    },
    /// A value of the cluster is not there.
    #[error(
        "class {class:?}: the variable {name:?} takes its value from the cluster: outside of one, give it with --env {variable}=VALUE"
    )]
    NoValue {
        /// The class.
        class: String,
        /// The variable.
        name: String,
        /// The container's variable that should carry the value.
        variable: String,
    },
    /// A granted folder is not there.
    #[error("class {class:?}: the folder {path} (permissions.filesystem) cannot be opened: {reason}")]
    Folder {
        /// The class.
        class: String,
        /// The folder on the host.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
}

/// What the host adds to the classes of an app.
#[derive(Debug, Default)]
pub struct HostValues {
    /// Variables of the container, from which those with `valueFrom` are taken.
    pub variables: HashMap<String, String>,
    /// Folders of guests that are elsewhere on the host: the longest matching guest path counts.
    pub volumes: Vec<(String, PathBuf)>,
    /// Folders that every class sees beside its own.
    pub folders: Vec<MountedFolder>,
}

impl Class {
    /// Makes a class ready.
    ///
    /// # Errors
    /// See [`ClassError`]: whatever would otherwise fail at the first spawn is found here.
    pub fn prepare(spec: ActorClass, program: Program, host: &HostValues) -> Result<Self, ClassError> {
        if !program.has_entrypoint(&spec.entrypoint) {
            let found = program.functions();
            return Err(ClassError::Entrypoint {
                class: spec.name.to_string(),
                module: program.name().to_owned(),
                entrypoint: spec.entrypoint.clone(),
                found: if found.is_empty() { "none".to_owned() } else { found.join(", ") },
            });
        }
        let env = spec.env.iter().map(|variable| resolve(&spec, variable, host)).collect::<Result<_, _>>()?;
        let mut folders =
            spec.permissions.filesystem.iter().map(|folder| mount(&spec, folder, host)).collect::<Result<Vec<_>, _>>()?;
        folders.extend(host.folders.iter().cloned());
        let args = std::iter::once(program.name().to_owned()).chain(spec.args.iter().cloned()).collect();
        let memory = AtomicU64::new(spec.limits.memory.0);
        Ok(Self { name: spec.name.as_str().into(), memory, program, args, env, folders, spec, fuel: 0, held: 0 })
    }

    /// The same, running another module.
    pub(crate) fn with_program(&self, program: Program) -> Self {
        Self {
            name: Arc::clone(&self.name),
            spec: self.spec.clone(),
            memory: AtomicU64::new(self.memory_limit()),
            program,
            args: self.args.clone(),
            env: self.env.clone(),
            folders: self.folders.clone(),
            fuel: self.fuel,
            held: self.held,
        }
    }

    pub(crate) fn limits(&self) -> ActorLimits {
        ActorLimits { memory: self.memory_limit(), mailbox: usize::try_from(self.spec.limits.mailbox.0).unwrap_or(usize::MAX) }
    }

    /// Bytes of each actor that is spawned now.
    pub(crate) fn memory_limit(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    /// Holds for actors that are spawned from now on. What it was before.
    pub(crate) fn set_memory_limit(&self, bytes: u64) -> u64 {
        self.memory.swap(bytes, Ordering::Relaxed)
    }

    /// Whether its actors may do that; of spawning: functions as actors of the class itself.
    pub(crate) fn may(&self, right: Right) -> bool {
        match right {
            Right::Compile => self.spec.permissions.compile,
            Right::Configure => self.spec.permissions.configure,
            Right::Spawn => self.may_spawn(&self.name),
        }
    }

    pub(crate) fn may_spawn(&self, class: &str) -> bool {
        self.spec.permissions.spawn.iter().any(|name| name.as_str() == class)
    }
}

fn resolve(spec: &ActorClass, variable: &EnvVar, host: &HostValues) -> Result<(String, String), ClassError> {
    let Some(source) = &variable.value_from else {
        return Ok((variable.name.clone(), variable.value.clone().unwrap_or_default()));
    };
    let key = container_variable(&spec.name, &variable.name);
    let optional = source
        .secret_key_ref
        .as_ref()
        .and_then(|key| key.optional)
        .or(source.config_map_key_ref.as_ref().and_then(|key| key.optional));
    match host.variables.get(&key) {
        Some(value) => Ok((variable.name.clone(), value.clone())),
        None if optional == Some(true) => Ok((variable.name.clone(), String::new())),
        None => Err(ClassError::NoValue { class: spec.name.to_string(), name: variable.name.clone(), variable: key }),
    }
}

fn mount(spec: &ActorClass, folder: &Folder, host: &HostValues) -> Result<MountedFolder, ClassError> {
    let path = host_path(&folder.path, &host.volumes);
    match std::fs::read_dir(&path) {
        Ok(_) => Ok(MountedFolder::new(folder.path.clone(), path, folder.read_only)),
        Err(reason) => Err(ClassError::Folder { class: spec.name.to_string(), path, reason }),
    }
}

fn host_path(guest: &str, volumes: &[(String, PathBuf)]) -> PathBuf {
    let below =
        |volume: &str| guest.strip_prefix(volume.trim_end_matches('/')).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let longest = volumes
        .iter()
        .filter_map(|(volume, host)| below(volume).map(|rest| (volume.len(), host, rest)))
        .max_by_key(|found| found.0);
    match longest {
        Some((_, host, rest)) => host.join(rest.trim_start_matches('/')),
        None => PathBuf::from(guest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_volume_says_where_a_folder_is() {
        let volumes = [("/data".to_owned(), PathBuf::from("/home/me/d")), ("/data/big".to_owned(), PathBuf::from("/mnt/big"))];
        for (guest, host) in [
            ("/data", "/home/me/d/"),
            ("/data/a/b", "/home/me/d/a/b"),
            ("/data/big/c", "/mnt/big/c"),
            ("/database", "/database"),
            ("/etc", "/etc"),
        ] {
            assert_eq!(host_path(guest, &volumes), PathBuf::from(host), "{guest}");
        }
    }
}
