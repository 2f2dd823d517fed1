//! `perigee run`: an app or a module on this machine, under the rules of a cluster.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use perigee_runtime::{HostValues, MountedFolder};
use perigee_spec::{AppSpec, EnvVar, MAX_MEMORY, MemoryBytes, Network};

use super::code::Code;
use super::load;
use super::module;
use super::session::{CANNOT_RUN, Control, Outputs, Session};
use super::test;

/// Run an app (a manifest) or a module (a .wasm file) on this machine.
///
/// An app runs under the permissions and limits of its manifest. A module may spawn its own functions as actors and sees
/// the current folder; --net, --dir and --env grant it more, --deny less.
#[derive(clap::Args)]
#[command(max_term_width = 110)]
pub(super) struct Run {
    /// Manifest (.yaml) or module (.wasm)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Arguments for the module
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
    /// Folder with the modules of an app [default: the manifest's]
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
    /// A variable for a module, or a value that an app would get from the cluster; without =VALUE, this shell's
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// A folder that a module may use besides the current one; ":ro" for reading only
    #[arg(long = "dir", value_name = "HOST[:GUEST][:ro]")]
    dirs: Vec<String>,
    /// Where a folder of an app's manifest is on this machine
    #[arg(long = "volume", value_name = "HOST:GUEST")]
    volumes: Vec<String>,
    /// Let a module use the network: everything, or a list such as 127.0.0.1:8080,10.0.0.0/8:443
    #[arg(long, value_name = "LIST", num_args = 0..=1, require_equals = true, default_missing_value = "*:*", value_delimiter = ',')]
    net: Vec<String>,
    /// What a module may not do although it could by default
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    deny: Vec<Deny>,
    /// Memory of each actor of a module
    #[arg(long, value_name = "BYTES", default_value_t = MAX_MEMORY)]
    memory: MemoryBytes,
    /// The exported function that a module starts with
    #[arg(long, value_name = "FUNCTION", default_value = perigee_spec::DEFAULT_ENTRYPOINT)]
    entrypoint: String,
    /// Compile, and neither use nor fill ~/.cache/perigee/code
    #[arg(long)]
    no_cache: bool,
    /// Seconds in which connections may finish after Ctrl-C
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    grace: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Deny {
    /// Spawning actors
    Spawn,
    /// Compiling modules
    Compile,
    /// Making configurations for what it spawns
    Configure,
    /// The current folder
    Dir,
}

impl Run {
    pub(super) fn execute(self) -> ExitCode {
        // cargo's runner is one command for programs and tests.
        if load::is_wasm(&self.file).is_ok_and(|wasm| wasm)
            && std::fs::read(&self.file).is_ok_and(|module| test::has_tests(&module))
        {
            return test::Test::of_run(self.file, self.args).execute();
        }
        let outputs = match Outputs::open() {
            Ok(outputs) => outputs,
            Err(error) => return complain(&format!("{error:#}"), CANNOT_RUN),
        };
        let exit = self.session().and_then(|session| session.run(&outputs));
        outputs.flush();
        match exit {
            Ok(exit) => match &exit.message {
                Some(message) => complain(message, exit.code),
                None => ExitCode::from(exit.code),
            },
            Err(error) => complain(&format!("{error:#}"), CANNOT_RUN),
        }
    }

    fn session(self) -> anyhow::Result<Session> {
        let grace = std::time::Duration::from_secs(self.grace);
        let code = if self.no_cache { Code::Compile } else { Code::of_user() };
        if load::is_wasm(&self.file)? {
            let host = HostValues { folders: self.folders()?, ..HostValues::default() };
            let app = self.module()?;
            let name = self.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(Session { app, modules: vec![self.file], host, code, grace, control: Control::Local(name) });
        }
        if self.file.extension().is_some_and(|extension| extension == "wasm") {
            bail!("{}: this is no WebAssembly module: it does not start with \\0asm", self.file.display());
        }
        let app = load::manifest(&self.file)?;
        self.refuse_module_options()?;
        let beside = self.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let modules = load::modules(&app, self.modules.as_deref().unwrap_or(beside))?;
        let mut variables: HashMap<String, String> = std::env::vars().collect();
        variables.extend(self.env.iter().map(|text| variable(text)).collect::<anyhow::Result<Vec<_>>>()?);
        let volumes = self.volumes.iter().map(|text| volume(text)).collect::<anyhow::Result<_>>()?;
        let host = HostValues { variables, volumes, folders: Vec::new() };
        let control = Control::Local(app.name().to_owned());
        Ok(Session { app, modules, host, code, grace, control })
    }

    /// The app that a module is without a manifest.
    fn module(&self) -> anyhow::Result<AppSpec> {
        let mut class = module::class(&self.args, self.memory)?;
        class.entrypoint.clone_from(&self.entrypoint);
        if !self.deny.contains(&Deny::Spawn) {
            class.permissions.spawn.push(class.name.clone());
        }
        class.permissions.compile = !self.deny.contains(&Deny::Compile);
        class.permissions.configure = !self.deny.contains(&Deny::Configure);
        class.permissions.network = network(&self.net)?;
        for text in &self.env {
            let (name, value) = variable(text)?;
            class.env.push(EnvVar { name, value: Some(value), value_from: None });
        }
        Ok(AppSpec::new("main", vec![class], "command line")?)
    }

    fn folders(&self) -> anyhow::Result<Vec<MountedFolder>> {
        let mut folders = self.dirs.iter().map(|text| folder(text)).collect::<anyhow::Result<Vec<_>>>()?;
        if !self.deny.contains(&Deny::Dir) {
            folders.push(module::current_folder());
        }
        Ok(folders)
    }

    fn refuse_module_options(&self) -> anyhow::Result<()> {
        let options = [
            ("ARGS", !self.args.is_empty()),
            ("--dir", !self.dirs.is_empty()),
            ("--net", !self.net.is_empty()),
            ("--deny", !self.deny.is_empty()),
        ];
        match options.iter().find(|(_, given)| *given) {
            Some((option, _)) => bail!("{option} is for modules: an app's manifest says what its actors get"),
            None => Ok(()),
        }
    }
}

fn network(rules: &[String]) -> anyhow::Result<Network> {
    let mut network = Network::default();
    for rule in rules {
        // What is an address can be listened on and connected to; a name or a range only connected to.
        let listen = rule.parse();
        match rule.parse() {
            Ok(connect) => network.connect.push(connect),
            Err(error) => bail!("--net: {error}"),
        }
        network.listen.extend(listen);
    }
    Ok(network)
}

fn variable(text: &str) -> anyhow::Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => {
            let value = std::env::var(text)
                .with_context(|| format!("--env {text}: this shell has no such variable: write {text}=VALUE"))?;
            Ok((text.to_owned(), value))
        }
    }
}

fn folder(text: &str) -> anyhow::Result<MountedFolder> {
    let (path, read_only) = match text.strip_suffix(":ro") {
        Some(path) => (path, true),
        None => (text, false),
    };
    let (host, guest) = path.split_once(':').unwrap_or((path, path));
    std::fs::read_dir(host).with_context(|| format!("--dir {text}: the folder {host} cannot be opened"))?;
    Ok(MountedFolder::new(guest, host, read_only))
}

fn volume(text: &str) -> anyhow::Result<(String, PathBuf)> {
    match text.split_once(':') {
        Some((host, guest)) if !host.is_empty() && guest.starts_with('/') => Ok((guest.to_owned(), host.into())),
        _ => bail!("--volume {text}: write HOST:GUEST, such as ./data:/data"),
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a command, after its log")]
pub(super) fn complain(message: &str, code: u8) -> ExitCode {
    eprintln!("perigee: {message}");
    ExitCode::from(code)
}
