//! A compiled module, ready to be instantiated many times.

use std::sync::{Arc, OnceLock};
use std::thread;

use perigee_cache::Entry;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, oneshot};
use wasmtime::{Func, InstancePre, Linker, Module, ModuleExport, Store};

use super::dense::{Dense, Image};
use super::precompiled;
use crate::guest::Guest;

/// The first bytes of a WebAssembly binary: magic and version 1
/// (<https://webassembly.github.io/spec/core/binary/modules.html#binary-module>).
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// Magic and layer of a component (<https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md>).
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Why a module cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// It is something else.
    #[error("{name}: this is no WebAssembly module: it starts with {start:02x?}, not with 00 61 73 6d (\"\\0asm\")")]
    NotWasm {
        /// The module.
        name: String,
        /// Its first bytes.
        start: Vec<u8>,
    },
    /// It is a component.
    #[error("{name}: this is a WebAssembly component; this version runs core modules (build for wasm32-wasip1)")]
    Component {
        /// The module.
        name: String,
    },
    /// It is broken, or uses a feature that is not supported.
    #[error("{name}: the module is not valid: {reason}")]
    Invalid {
        /// The module.
        name: String,
        /// What Wasmtime says.
        reason: String,
    },
    /// Its compiled code cannot be used here; compiling it again can help.
    #[error("{name}: the compiled code cannot be used: {reason}")]
    Code {
        /// The module.
        name: String,
        /// What Wasmtime says.
        reason: String,
    },
    /// It cannot be read, and might have to be compiled later.
    #[error("{name}: the module cannot be read: {reason}")]
    Unreadable {
        /// The module.
        name: String,
        /// What the system says.
        reason: std::io::Error,
    },
    /// It needs something that no host function provides.
    #[error("{name}: the module does not link: {reason}")]
    Import {
        /// The module.
        name: String,
        /// Which import.
        reason: String,
    },
}

/// Refuses what is no core module before it is compiled.
pub(super) fn check_kind(name: &str, bytes: &[u8]) -> Result<(), ProgramError> {
    let name = name.to_owned();
    if bytes.starts_with(COMPONENT) {
        return Err(ProgramError::Component { name });
    }
    if !bytes.starts_with(CORE_MODULE) {
        return Err(ProgramError::NotWasm { name, start: bytes.iter().copied().take(4).collect() });
    }
    Ok(())
}

/// A compiled module. Cheap to clone.
#[derive(Clone)]
pub struct Program(Arc<Inner>);

struct Inner {
    name: String,
    linked: Linked,
    dense: Option<ForDense>,
    /// Its place among the modules of guests, if it is one.
    _place: Option<OwnedSemaphorePermit>,
}

/// Code with what it imports.
#[derive(Clone)]
pub(super) struct Linked {
    instance: InstancePre<Guest>,
    memory: Option<ModuleExport>,
    /// Its functions in order of their names: each spawn looks one up, and Wasmtime's own look-up hashes twice.
    functions: Arc<[(Box<str>, ModuleExport)]>,
}

/// What actors that the pool has no place for run: compiled when the first one comes.
struct ForDense {
    module: Arc<[u8]>,
    linked: OnceCell<Linked>,
    /// Of the first of them; `None`: its memory held nothing.
    image: OnceLock<Option<Image>>,
}

impl Program {
    pub(super) fn compile(
        engine: &wasmtime::Engine,
        linker: &Linker<Guest>,
        name: &str,
        bytes: &[u8],
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Self, ProgramError> {
        check_kind(name, bytes)?;
        let module = Module::from_binary(engine, bytes);
        let invalid = |error| ProgramError::Invalid { name: name.to_owned(), reason: format!("{error:#}") };
        Self::link(linker, name, &module.map_err(invalid)?, place)
    }

    /// From code that was compiled before.
    pub(super) fn load(
        engine: &wasmtime::Engine,
        linker: &Linker<Guest>,
        name: &str,
        code: &Entry,
    ) -> Result<Self, ProgramError> {
        let unusable = |error| ProgramError::Code { name: name.to_owned(), reason: format!("{error:#}") };
        Self::link(linker, name, &precompiled::load(engine, code).map_err(unusable)?, None)
    }

    fn link(
        linker: &Linker<Guest>,
        name: &str,
        module: &Module,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Self, ProgramError> {
        let linked = Linked::new(linker, module)
            .map_err(|error| ProgramError::Import { name: name.to_owned(), reason: format!("{error:#}") })?;
        Ok(Self(Arc::new(Inner { name: name.to_owned(), linked, dense: None, _place: place })))
    }

    /// The same, which can be compiled again for places beside those of the pool.
    pub(super) fn keep_module(&self, bytes: Vec<u8>) -> Self {
        let dense = Some(ForDense { module: bytes.into(), linked: OnceCell::new(), image: OnceLock::new() });
        Self(Arc::new(Inner { name: self.0.name.clone(), linked: self.0.linked.clone(), dense, _place: None }))
    }

    pub(super) fn linked(&self) -> &Linked {
        &self.0.linked
    }

    /// For the dense engine; `None`: its module was not kept. Suspends while it is compiled.
    pub(super) async fn dense(&self, dense: &Dense) -> wasmtime::Result<Option<&Linked>> {
        let Some(ForDense { module, linked, .. }) = &self.0.dense else { return Ok(None) };
        let compile = async || {
            let (engine, linker, module) = (dense.engine.clone(), dense.linker.clone(), Arc::clone(module));
            let (told, compiled) = oneshot::channel();
            // A thread of its own: guests may hold all those that tokio has for blocking work, until this actor is there.
            thread::Builder::new().name("perigee-compile".into()).spawn(move || {
                let linked = Module::from_binary(&engine, &module).and_then(|module| Linked::new(&linker, &module));
                // Whoever wanted it may have been killed.
                drop(told.send(linked));
            })?;
            compiled.await?
        };
        linked.get_or_try_init(compile).await.map(Some)
    }

    /// Keeps what is in the memory of a new actor in an arena, if it is the first.
    pub(super) fn keep_image(&self, store: &Store<Guest>) {
        if let Some(ForDense { image, .. }) = &self.0.dense {
            image.get_or_init(|| Image::of(store.data().memory?.data(store)));
        }
    }

    /// What new actors in arenas have in memory, as far as it is known.
    pub(crate) fn image(&self) -> Option<&Image> {
        self.0.dense.as_ref()?.image.get()?.as_ref()
    }

    /// Its code, for the cache.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn code(&self) -> wasmtime::Result<Vec<u8>> {
        self.0.linked.instance.module().serialize()
    }

    /// Bytes of its compiled code, with its data and tables, in memory.
    pub(crate) fn image_bytes(&self) -> usize {
        let image = self.0.linked.instance.module().image_range();
        image.end.addr().saturating_sub(image.start.addr())
    }

    /// Its name, as the app calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether it exports a function of that name which takes and returns nothing.
    #[must_use]
    pub fn has_entrypoint(&self, function: &str) -> bool {
        let export = self.0.linked.instance.module().get_export(function);
        export
            .as_ref()
            .and_then(wasmtime::ExternType::func)
            .is_some_and(|function| function.params().len() + function.results().len() == 0)
    }

    /// The exported functions that take and return nothing.
    #[must_use]
    pub fn entrypoints(&self) -> Vec<String> {
        let exports = self.0.linked.instance.module().exports();
        let entrypoint = |export: wasmtime::ExportType<'_>| {
            let ty = export.ty();
            let function = ty.func()?;
            (function.params().len() + function.results().len() == 0).then(|| export.name().to_owned())
        };
        exports.filter_map(entrypoint).collect()
    }

    /// The exported functions with their types, for an error that says what there is instead of an entry point.
    #[must_use]
    pub fn functions(&self) -> Vec<String> {
        let exports = self.0.linked.instance.module().exports();
        let function =
            |export: wasmtime::ExportType<'_>| export.ty().func().map(|ty| format!("{}{}", export.name(), signature(ty)));
        exports.filter_map(function).collect()
    }
}

impl Linked {
    fn new(linker: &Linker<Guest>, module: &Module) -> wasmtime::Result<Self> {
        let functions = module.exports().filter(|export| export.ty().func().is_some());
        let mut functions: Vec<_> =
            functions.filter_map(|export| Some((export.name().into(), module.get_export_index(export.name())?))).collect();
        functions.sort_unstable_by(|(one, _): &(Box<str>, _), (other, _)| one.cmp(other));
        let instance = linker.instantiate_pre(module)?;
        Ok(Self { instance, memory: module.get_export_index("memory"), functions: functions.into() })
    }

    /// Makes an instance in `store`, which then knows the guest's memory. Its function of that name, if it exports one.
    pub(super) async fn instantiate(&self, store: &mut Store<Guest>, function: &str) -> wasmtime::Result<Option<Func>> {
        let instance = self.instance.instantiate_async(&mut *store).await?;
        if let Some(export) = &self.memory {
            let memory = instance.get_module_export(&mut *store, export).and_then(wasmtime::Extern::into_memory);
            store.data_mut().memory = memory;
        }
        let Ok(found) = self.functions.binary_search_by(|(name, _)| (**name).cmp(function)) else { return Ok(None) };
        let export = self.functions.get(found).map(|(_, export)| export);
        Ok(export.and_then(|export| instance.get_module_export(&mut *store, export)?.into_func()))
    }
}

fn signature(function: &wasmtime::FuncType) -> String {
    let list = |types: Vec<String>| types.join(", ");
    let params = list(function.params().map(|ty| ty.to_string()).collect());
    match list(function.results().map(|ty| ty.to_string()).collect()).as_str() {
        "" => format!("({params})"),
        results => format!("({params}) -> {results}"),
    }
}
