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

/// What most guests have none of: made at the first use.
#[derive(Default)]
pub(crate) struct Makings(Option<Box<Tables>>);

#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) configurations: Table<Configuration>,
    pub(crate) modules: Table<Module>,
}

impl Makings {
    pub(crate) fn get(&mut self) -> &mut Tables {
        self.0.get_or_insert_default()
    }
}

impl Module {
    pub(crate) fn new(class: &Class, program: Program, place: Charge) -> Self {
        Self { class: Arc::new(class.with_program(program)), _place: place }
    }
}

impl Tables {
    pub(crate) fn module(&self, id: u64) -> Result<&Program> {
        Ok(&self.modules.get(id)?.class.program)
    }
}
