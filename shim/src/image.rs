//! Decides what a new container is (native, the app of an ActorApp, or a plain pod's module), and makes its bundle ready.
//!
//! ```text
//! pause container ------------------------------------------------------------> native
//! annotation perigee.dev/app, and its container: decode, find every module ---> worker
//! command names a Wasm file of the image or of a volume, or `….wasm` ---------> worker, one class `main`
//! image without files, whose layers are modules (an artifact) ----------------> worker
//! anything else --------------------------------------------------------------> native
//! ```

use std::{
    collections::HashSet,
    env,
    path::{Path, PathBuf},
};

use perigee_spec::{AppSpec, SpecError, annotation};
use serde_json::Value;

use crate::{
    artifact::{Artifact, ArtifactError},
    bundle::Bundle,
    code::{Code, Source},
    compile_cgroup::CompileCgroup,
    container::{Kind, Shared},
    content::{ContentError, Store},
    error::ShimError,
    launch::{self, ContainerSpec, LaunchError, Modules, MountSpec, Program},
    module::{Content, Files, ModuleError},
    options::RuntimeOptions,
};

/// Name of the worker, beside the shim.
const WORKER: &str = "perigee";

/// An image that does not fit what the container wants of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// A class of the app, by the name of its field.
    #[error("class {class}: {source}")]
    Class { class: String, source: ModuleError },
    #[error(transparent)]
    Module(#[from] ModuleError),
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error(transparent)]
    Content(#[from] ContentError),
    /// What is wrong with it, and its name.
    #[error("{reason}")]
    Compile { reason: String },
    #[error("the worker {path} is missing: Perigee is not installed completely on this node")]
    NoWorker { path: PathBuf },
}

/// What the container turned out to be.
enum Found {
    Native,
    Launch { kind: Kind, app: AppSpec, modules: Modules },
}

/// Makes the bundle of a Wasm container ready; one of a native container is left as it is.
pub(crate) async fn prepare(
    id: &str,
    bundle: &Bundle,
    config: Value,
    spec: &ContainerSpec,
    options: &RuntimeOptions,
    shared: &Shared,
) -> Result<(Kind, Vec<Code>), ShimError> {
    if spec.is_sandbox() {
        return Ok((Kind::Native, Vec::new()));
    }
    let binds = spec.binds().map(|mount| (PathBuf::from(&mount.destination), PathBuf::from(&mount.source)));
    let files = Files::new(bundle.path().join(spec.root()), binds);
    let (kind, app, modules) = match find(id, bundle, spec, &files, shared).await? {
        Found::Native => return Ok((Kind::Native, Vec::new())),
        Found::Launch { kind, app, modules } => (kind, app, modules),
    };
    let text = annotation::encode(&app).map_err(LaunchError::from)?;
    bundle.write_perigee(&text, modules == Modules::Artifact)?;
    let worker = worker()?;
    let mut rewritten = launch::rewrite(config, &bundle.perigee(), &worker, modules, &bundle.modules())?;
    let (cache, limit) = options.cache();
    let cgroup = CompileCgroup::beside(spec.cgroups_path(), id);
    let source = Source { cache, limit, worker: &worker, cgroup, reaper: &shared.reaper };
    let code = source
        .code(&app, |module| match modules {
            Modules::Image => files.open(module),
            Modules::Artifact => std::fs::File::open(bundle.modules().join(module)).map(Some),
        })
        .await?;
    bundle.write_code(code.iter().map(|code| code.class.as_str()))?;
    launch::add_code(&mut rewritten, code.iter().map(|code| (code.class.as_str(), code.entry.path())));
    bundle.write_config(&rewritten)?;
    Ok((kind, code))
}

async fn find(id: &str, bundle: &Bundle, spec: &ContainerSpec, files: &Files, shared: &Shared) -> Result<Found, ShimError> {
    if let Some(app) = spec.app()? {
        if !files.is_empty().map_err(ImageError::from)? {
            let app = with_modules(&app, |name| in_image(files, name))?;
            return Ok(Found::Launch { kind: Kind::App, app, modules: Modules::Image });
        }
        let mut store = Store::connect(&shared.containerd, &shared.namespace).await?;
        let artifact = Artifact::find(&mut store, id, spec.image()).await?.ok_or(ImageError::from(ModuleError::None))?;
        let app = with_modules(&app, |name| in_artifact(&artifact, name))?;
        write(&app, &artifact, &mut store, bundle).await?;
        return Ok(Found::Launch { kind: Kind::App, app, modules: Modules::Artifact });
    }
    let Some(program) = spec.program() else { return Ok(Found::Native) };
    if let Some(module) = program_in_image(spec, files, &program).map_err(ImageError::from)? {
        let app = spec.plain_app(module.trim_start_matches('/'), &program.function, is_folder)?;
        return Ok(Found::Launch { kind: Kind::Plain, app, modules: Modules::Image });
    }
    if !files.is_empty().map_err(ImageError::from)? || !exists_nowhere(spec, files, &program).map_err(ImageError::from)? {
        return Ok(Found::Native);
    }
    let mut store = Store::connect(&shared.containerd, &shared.namespace).await?;
    let Some(artifact) = Artifact::find(&mut store, id, spec.image()).await? else { return Ok(Found::Native) };
    // Tools that do not title their layer leave the author nothing to name it by.
    let module = artifact.only().or_else(|_| artifact.named(&program.path)).map_err(ImageError::from)?;
    let app = spec.plain_app(&module, &program.function, is_folder)?;
    write(&app, &artifact, &mut store, bundle).await?;
    Ok(Found::Launch { kind: Kind::Plain, app, modules: Modules::Artifact })
}

/// The path of the program, when it is to be run as a module.
fn program_in_image(spec: &ContainerSpec, files: &Files, program: &Program) -> Result<Option<String>, ModuleError> {
    let named_wasm = has_extension(&program.path, "wasm") || has_extension(&program.path, "cwasm");
    for path in spec.candidates(&program.path) {
        match files.content(&path)? {
            None => {}
            Some(Content::Wasm) => return Ok(Some(path)),
            Some(other) if named_wasm => other.check(&path)?,
            // A native program, whatever comes later in PATH.
            Some(_) => return Ok(None),
        }
    }
    if named_wasm && !files.is_empty()? {
        return Err(crate::module::missing(&program.path, &files.search().unwrap_or_default()));
    }
    Ok(None)
}

fn exists_nowhere(spec: &ContainerSpec, files: &Files, program: &Program) -> Result<bool, ModuleError> {
    for path in spec.candidates(&program.path) {
        if files.content(&path)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The app with every class's module filled in and checked.
fn with_modules(app: &AppSpec, module: impl Fn(Option<&str>) -> Result<String, ModuleError>) -> Result<AppSpec, ShimError> {
    let mut classes = app.actors().to_vec();
    for class in &mut classes {
        let found = module(class.module.as_deref());
        let found = found.map_err(|source| ImageError::Class { class: class.name.to_string(), source })?;
        class.module = Some(found);
    }
    let checked: Result<AppSpec, SpecError> = AppSpec::new(app.name(), classes, &format!("{}.actors", annotation::KEY));
    Ok(checked.map_err(LaunchError::from)?.with_strategy(app.strategy()))
}

fn in_image(files: &Files, name: Option<&str>) -> Result<String, ModuleError> {
    let name = match name {
        // Relative to the worker's folder of modules, which is the image's root.
        Some(name) => name.trim_start_matches('/').to_owned(),
        None => files.only()?,
    };
    files.check(&name)?;
    Ok(name)
}

fn in_artifact(artifact: &Artifact, name: Option<&str>) -> Result<String, ModuleError> {
    name.map_or_else(|| artifact.only(), |name| artifact.named(name))
}

async fn write(app: &AppSpec, artifact: &Artifact, store: &mut Store, bundle: &Bundle) -> Result<(), ImageError> {
    let used: HashSet<&str> = app.actors().iter().filter_map(|class| class.module.as_deref()).collect();
    artifact.write(&used, store, &bundle.modules()).await
}

/// The worker's binary.
fn worker() -> Result<PathBuf, ShimError> {
    let shim = env::current_exe().map_err(ShimError::io("the shim's own path"))?;
    let path = shim.with_file_name(WORKER);
    if path.is_file() { Ok(path) } else { Err(ImageError::NoWorker { path }.into()) }
}

fn is_folder(mount: &MountSpec) -> bool {
    Path::new(&mount.source).is_dir()
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|own| own == extension)
}

impl From<ModuleError> for ShimError {
    fn from(error: ModuleError) -> Self {
        Self::Image(error.into())
    }
}
