//! A configuration: what an actor spawns others with that are to have less than it has itself.
//!
//! It takes away and never adds: rights and folders are those of who makes it or fewer, its memory is no more. What it has
//! no word for, such as the network, the new actor has as its spawner does.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use wasmtime::{Result, bail};

use crate::actor::Actor;
use crate::class::Class;
use crate::folder::{self, MountedFolder};
use crate::host::charge::Charge;

/// Memory of an actor, where nobody says: as much as its class has.
const UNLIMITED_MEMORY: u64 = u32::MAX as u64;
/// What is charged for a configuration, and for each entry of its lists beside their bytes.
const CONFIGURATION_BYTES: u64 = 512;
const ENTRY_BYTES: u64 = 64;
/// Folders of one configuration: each is an open file of every actor that uses it.
const MAX_FOLDERS: usize = 16;

/// What an actor may do besides computing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Compile,
    Configure,
    Spawn,
}

/// A configuration.
pub(crate) struct Configuration {
    /// Who made it, and what that one may do.
    maker: Arc<Class>,
    pub(crate) max_memory: u64,
    /// See [`Fuel`](crate::engine::Fuel); 0: no limit.
    pub(crate) max_fuel: u64,
    compile: bool,
    configure: bool,
    spawn: bool,
    args: Vec<String>,
    env: Vec<(String, String)>,
    folders: Vec<MountedFolder>,
    place: Charge,
    /// What the last spawn made of it, and of which class.
    derived: Option<(Arc<Class>, Arc<Class>)>,
}

impl Configuration {
    /// One that allows nothing. Its bytes are charged to its maker.
    pub(crate) fn new(actor: &Arc<Actor>, maker: &Arc<Class>) -> Result<Self> {
        Ok(Self {
            maker: Arc::clone(maker),
            max_memory: UNLIMITED_MEMORY,
            max_fuel: 0,
            compile: false,
            configure: false,
            spawn: false,
            args: Vec::new(),
            env: Vec::new(),
            folders: Vec::new(),
            place: Charge::new(actor, CONFIGURATION_BYTES)?,
            derived: None,
        })
    }

    pub(crate) fn may(&self, right: Right) -> bool {
        match right {
            Right::Compile => self.compile,
            Right::Configure => self.configure,
            Right::Spawn => self.spawn,
        }
    }

    /// # Errors
    /// The maker itself may not.
    pub(crate) fn allow(&mut self, right: Right, allowed: bool) -> Result<()> {
        if allowed && !self.maker.may(right) {
            let (class, permission) = (&self.maker.name, right.permission());
            bail!("denied: the class {class:?} cannot allow what it may not do itself: add {permission} to its permissions");
        }
        self.derived = None;
        match right {
            Right::Compile => self.compile = allowed,
            Right::Configure => self.configure = allowed,
            Right::Spawn => self.spawn = allowed,
        }
        Ok(())
    }

    pub(crate) fn set_max_memory(&mut self, bytes: u64) {
        self.derived = None;
        self.max_memory = bytes;
    }

    pub(crate) fn set_max_fuel(&mut self, units: u64) {
        self.derived = None;
        self.max_fuel = units;
    }

    /// # Errors
    /// The maker has no memory for it.
    pub(crate) fn add_arg(&mut self, arg: String) -> Result<()> {
        self.grow(arg.len())?;
        self.args.push(arg);
        Ok(())
    }

    /// # Errors
    /// The maker has no memory for it.
    pub(crate) fn add_variable(&mut self, name: String, value: String) -> Result<()> {
        self.grow(name.len().saturating_add(value.len()))?;
        self.env.push((name, value));
        Ok(())
    }

    /// Adds a folder that the maker itself sees, by the path that it sees it under.
    ///
    /// # Errors
    /// It does not see it; it cannot be opened; there are too many.
    pub(crate) fn add_folder(&mut self, path: &str) -> Result<()> {
        let Some(folder) = folder::find(&self.maker.folders, path) else {
            bail!("denied: the class {:?} has no folder {path:?} itself: add one to its permissions.filesystem", self.maker.name);
        };
        if self.folders.len() >= MAX_FOLDERS {
            bail!("a configuration has {MAX_FOLDERS} folders at the most");
        }
        if let Err(error) = folder.open() {
            bail!("the folder {path:?} cannot be opened: {error}");
        }
        self.grow(path.len())?;
        self.folders.push(folder);
        Ok(())
    }

    fn grow(&mut self, bytes: usize) -> Result<()> {
        self.derived = None;
        Ok(self.place.grow(u64::try_from(bytes)?.saturating_add(ENTRY_BYTES))?)
    }

    /// The class of an actor that is spawned with it, where it would be of the class `base`.
    pub(crate) fn class(&mut self, base: &Arc<Class>) -> Arc<Class> {
        if let Some((known, derived)) = &self.derived
            && Arc::ptr_eq(known, base)
        {
            return Arc::clone(derived);
        }
        let derived = Arc::new(self.derive(base));
        self.derived = Some((Arc::clone(base), Arc::clone(&derived)));
        derived
    }

    fn derive(&self, base: &Class) -> Class {
        let mut spec = base.spec.clone();
        let permissions = &mut spec.permissions;
        permissions.compile &= self.compile;
        permissions.configure &= self.configure;
        if !self.spawn {
            permissions.spawn.clear();
        }
        let limits = &mut spec.limits;
        limits.memory.0 = base.memory_limit().min(self.max_memory);
        limits.mailbox = limits.mailbox.min(limits.memory);
        Class {
            name: Arc::clone(&base.name),
            memory: AtomicU64::new(limits.memory.0),
            spec,
            program: base.program.clone(),
            args: self.args.clone(),
            env: self.env.clone(),
            folders: self.folders.clone(),
            // Nobody gets more time by spawning.
            fuel: match (base.fuel, self.max_fuel) {
                (0, own) => own,
                (base, 0) => base,
                (base, own) => base.min(own),
            },
            held: self.place.bytes(),
        }
    }
}

impl Right {
    /// What grants it, in a manifest.
    pub(crate) fn permission(self) -> &'static str {
        match self {
            Self::Compile => "compile",
            Self::Configure => "configure",
            Self::Spawn => "spawn",
        }
    }
}
