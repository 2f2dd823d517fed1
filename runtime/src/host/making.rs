//! What one guest makes to spawn others with: configurations, and modules that it compiled or was sent.

use std::sync::Arc;

use wasmtime::Result;

use super::charge::Charge;
use super::table::Table;
use crate::class::Class;
use crate::configuration::Configuration;
use crate::engine::Program;

/// A guest's handle of a module.
pub(crate) struct Module {
    /// The guest's own class, running this module.
    pub(crate) class: Arc<Class>,
    pub(crate) _place: Charge,
}

/// What one guest has of them.
#[derive(Default)]
pub(crate) struct Makings {
    pub(crate) configurations: Table<Configuration>,
    pub(crate) modules: Table<Module>,
}

impl Module {
    pub(crate) fn new(class: &Class, program: Program, place: Charge) -> Self {
        Self { class: Arc::new(class.with_program(program)), _place: place }
    }
}

impl Makings {
    pub(crate) fn module(&self, id: u64) -> Result<&Program> {
        Ok(&self.modules.get(id)?.class.program)
    }
}
