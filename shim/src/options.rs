//! Options of the runtime handler in containerd's configuration, and where `runc` is.
//!
//! They arrive in one of two forms: runc's own message, or (for every runtime type that containerd does not know) a
//! generic message around the TOML table `[…runtimes.perigee.options]`. Both have the same keys.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use containerd_shim::{
    api::Options,
    protos::protobuf::{Message, well_known_types::any::Any},
};
use serde::{Deserialize, Serialize};

use crate::any;

/// Name of containerd's generic message, `runtimeoptions/v1/api.proto`.
const GENERIC: &str = "runtimeoptions.v1.Options";
/// Where distributions install `runc`, for a containerd that runs with an empty PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// containerd's own default; the namespace is appended.
const DEFAULT_ROOT: &str = "/run/containerd/runc";
/// Where the node keeps compiled code.
const DEFAULT_CACHE: &str = "/var/lib/perigee/cache";
/// In the bundle: the options that its container was created with, for `delete` after the shim died.
const FILE: &str = "perigee-options.json";

/// The options that Perigee honours. Keys are those of containerd's runc options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct RuntimeOptions {
    /// Name or absolute path of the OCI runtime; empty: `runc`.
    pub(crate) binary_name: String,
    /// Folder of its state; empty: [`DEFAULT_ROOT`].
    pub(crate) root: String,
    /// Let it make cgroups through systemd, as the kubelet's `cgroupDriver: systemd` needs.
    pub(crate) systemd_cgroup: bool,
    /// Use MS_MOVE, for a root file system on a ramdisk.
    pub(crate) no_pivot_root: bool,
    /// Keep the session keyring.
    pub(crate) no_new_keyring: bool,
    /// cgroup that the shim itself is put into.
    pub(crate) shim_cgroup: String,
    /// Owner of the stdio pipes, for a pod with a user namespace.
    pub(crate) io_uid: u32,
    /// Group of the stdio pipes.
    pub(crate) io_gid: u32,
    /// Folder of the node's compiled code; empty: [`DEFAULT_CACHE`]. Perigee's own, as the next one.
    pub(crate) code_cache: String,
    /// Bytes that it holds at most; 0: [`perigee_cache::DEFAULT_LIMIT`].
    pub(crate) code_cache_bytes: u64,
    /// Accepted because containerd writes it into the table; says what the table is, which is known.
    #[serde(skip_serializing)]
    type_url: String,
    /// See `type_url`; a file is read by [`RuntimeOptions::from_any`].
    #[serde(skip_serializing)]
    config_path: String,
}

/// Options that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OptionsError {
    #[error("{0:?} is no kind of options that this runtime knows")]
    Kind(String),
    #[error("not decodable: {0}")]
    Decode(String),
    #[error("in the table of options: {0}")]
    Toml(#[from] toml::de::Error),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("the OCI runtime {0:?} is neither in PATH nor beside the shim: install runc, or set BinaryName")]
    NoBinary(String),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Generic {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(string, tag = "2")]
    config_path: String,
    #[prost(bytes = "vec", tag = "3")]
    config_body: Vec<u8>,
}

impl RuntimeOptions {
    /// Reads what containerd attached to `start` or to Create; nothing means the defaults.
    pub(crate) fn from_any(any: Option<&Any>) -> Result<Self, OptionsError> {
        let Some(any) = any.filter(|any| !any.type_url.is_empty()) else { return Ok(Self::default()) };
        if any::is::<Options>(any) {
            let options = Options::parse_from_bytes(&any.value).map_err(|error| OptionsError::Decode(error.to_string()))?;
            return Ok(options.into());
        }
        if any.type_url.rsplit('/').next() != Some(GENERIC) {
            return Err(OptionsError::Kind(any.type_url.clone()));
        }
        let generic: Generic =
            prost::Message::decode(any.value.as_slice()).map_err(|error| OptionsError::Decode(error.to_string()))?;
        let body = match (generic.config_body.is_empty(), generic.config_path.is_empty()) {
            (true, false) => std::fs::read_to_string(&generic.config_path)
                .map_err(|source| OptionsError::File { path: generic.config_path.clone().into(), source })?,
            _ => String::from_utf8(generic.config_body).map_err(|error| OptionsError::Decode(error.to_string()))?,
        };
        Ok(toml::from_str(&body)?)
    }

    /// The form that `containerd-shim` reads the shim's own cgroup from.
    pub(crate) fn to_runc(&self) -> Options {
        Options { shim_cgroup: self.shim_cgroup.clone(), binary_name: self.binary_name.clone(), ..Options::default() }
    }

    /// Keeps them with the bundle.
    pub(crate) fn save(&self, bundle: &Path) -> Result<(), OptionsError> {
        let path = bundle.join(FILE);
        let text = serde_json::to_vec(self).map_err(|source| OptionsError::Json { path: path.clone(), source })?;
        std::fs::write(&path, text).map_err(|source| OptionsError::File { path, source })
    }

    /// Those that [`Self::save`] kept, or the defaults when Create never came that far.
    pub(crate) fn load(bundle: &Path) -> Result<Self, OptionsError> {
        let path = bundle.join(FILE);
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|source| OptionsError::Json { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(OptionsError::File { path, source }),
        }
    }

    /// The OCI runtime's state folder for the containers of a containerd namespace.
    pub(crate) fn root(&self, namespace: &str) -> PathBuf {
        let root = if self.root.is_empty() { DEFAULT_ROOT } else { &self.root };
        Path::new(root).join(namespace)
    }

    /// Folder of the node's compiled code, and how much of it there may be.
    pub(crate) fn cache(&self) -> (PathBuf, u64) {
        let folder = if self.code_cache.is_empty() { DEFAULT_CACHE } else { &self.code_cache };
        (folder.into(), if self.code_cache_bytes == 0 { perigee_cache::DEFAULT_LIMIT } else { self.code_cache_bytes })
    }

    /// The OCI runtime, in PATH or beside the shim.
    pub(crate) fn binary(&self) -> Result<PathBuf, OptionsError> {
        let name = if self.binary_name.is_empty() { "runc" } else { &self.binary_name };
        let path = env::var_os("PATH").filter(|path| !path.is_empty()).unwrap_or_else(|| DEFAULT_PATH.into());
        let beside = env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf));
        // Joining an absolute name gives that name.
        let found = env::split_paths(&path).chain(beside).map(|folder| folder.join(name)).find(|path| path.is_file());
        found.ok_or_else(|| OptionsError::NoBinary(name.to_owned()))
    }
}

impl From<Options> for RuntimeOptions {
    fn from(options: Options) -> Self {
        Self {
            binary_name: options.binary_name,
            root: options.root,
            systemd_cgroup: options.systemd_cgroup,
            no_pivot_root: options.no_pivot_root,
            no_new_keyring: options.no_new_keyring,
            shim_cgroup: options.shim_cgroup,
            io_uid: options.io_uid,
            io_gid: options.io_gid,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(body: &str) -> Any {
        let message = Generic { config_body: body.as_bytes().to_vec(), ..Generic::default() };
        Any { type_url: GENERIC.to_owned(), value: prost::Message::encode_to_vec(&message), ..Any::default() }
    }

    #[test]
    fn the_table_of_containerds_configuration_is_read() {
        let options = RuntimeOptions::from_any(Some(&generic("SystemdCgroup = true\nBinaryName = \"/opt/runc\"\n"))).unwrap();
        assert!(options.systemd_cgroup);
        assert_eq!(options.binary_name, "/opt/runc");
        assert_eq!(options.root("k8s.io"), Path::new("/run/containerd/runc/k8s.io"));
    }

    #[test]
    fn a_misspelt_option_is_refused_by_name() {
        let error = RuntimeOptions::from_any(Some(&generic("SystemdCgroups = true"))).unwrap_err().to_string();
        assert!(error.contains("SystemdCgroups"), "{error}");
    }

    #[test]
    fn runcs_own_message_is_read_too() {
        let runc = Options { systemd_cgroup: true, root: "/r".to_owned(), ..Options::default() };
        let any =
            Any { type_url: "containerd.runc.v1.Options".to_owned(), value: runc.write_to_bytes().unwrap(), ..Any::default() };
        let options = RuntimeOptions::from_any(Some(&any)).unwrap();
        assert!(options.systemd_cgroup);
        assert_eq!(options.root("x"), Path::new("/r/x"));
    }

    #[test]
    fn no_options_are_the_defaults_and_unknown_ones_are_refused() {
        assert_eq!(RuntimeOptions::from_any(None).unwrap(), RuntimeOptions::default());
        assert_eq!(RuntimeOptions::from_any(Some(&Any::default())).unwrap(), RuntimeOptions::default());
        let other = Any { type_url: "io.example.Options".to_owned(), ..Any::default() };
        assert!(matches!(RuntimeOptions::from_any(Some(&other)), Err(OptionsError::Kind(_))));
    }

    #[test]
    fn what_is_saved_with_the_bundle_is_loaded_again() {
        let bundle = tempfile::tempdir().unwrap();
        assert_eq!(RuntimeOptions::load(bundle.path()).unwrap(), RuntimeOptions::default());
        let options = RuntimeOptions { systemd_cgroup: true, root: "/r".to_owned(), ..RuntimeOptions::default() };
        options.save(bundle.path()).unwrap();
        assert_eq!(RuntimeOptions::load(bundle.path()).unwrap(), options);
    }
}
