//! Finds modules in a container's files, as the container would see them.
//!
//! The image is hostile: a symbolic link in it may point anywhere, a name may be a device, a tree may be endless. So
//! every path is resolved by the kernel as if the image were the root (`openat2` with `RESOLVE_IN_ROOT`), only regular
//! files are opened, and a search ends after a fixed number of entries.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2},
    io::Errno,
};

/// Start of every module and component.
const WASM_MAGIC: &[u8; 4] = b"\0asm";
const ELF_MAGIC: &[u8; 4] = b"\x7fELF";
/// Entries of the image that a search for modules looks at. An image for Perigee holds modules and little else.
const SEARCH_ENTRIES: usize = 4096;
/// Folders below one another that a search enters.
const SEARCH_DEPTH: usize = 4;
/// Modules that an error lists.
const LISTED: usize = 10;

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Wasm,
    Elf,
    Other,
}

/// A module that cannot be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModuleError {
    #[error("module {name:?} is native code (ELF): precompiled modules are never loaded, put the .wasm file into the image")]
    Precompiled { name: String },
    #[error("module {name:?} is no WebAssembly: it does not start with \"\\0asm\"")]
    NoWasm { name: String },
    #[error("module {name:?} is not in the image; found: {found}")]
    Missing { name: String, found: String },
    #[error("the image has no WebAssembly module (no .wasm file, and it is no Wasm artifact)")]
    None,
    #[error("the image has more than one module, so `module` must name one of: {found}")]
    Ambiguous { found: String },
    #[error("the image has more than {SEARCH_ENTRIES} files: name the module in `module`")]
    TooMany,
    #[error("looking for modules in {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// The files of a container: its root file system, and the folders of the host that are mounted over parts of it.
#[derive(Debug)]
pub(crate) struct Files {
    rootfs: PathBuf,
    /// Destination and source, the longest destination first.
    mounts: Vec<(PathBuf, PathBuf)>,
}

impl Files {
    pub(crate) fn new(rootfs: PathBuf, mounts: impl Iterator<Item = (PathBuf, PathBuf)>) -> Self {
        let mut mounts: Vec<_> = mounts.collect();
        mounts.sort_by_key(|(destination, _)| std::cmp::Reverse(destination.components().count()));
        Self { rootfs, mounts }
    }

    /// What the regular file at `path` is, or `None` when there is none.
    pub(crate) fn content(&self, path: &str) -> Result<Option<Content>, ModuleError> {
        let io = |source: io::Error| ModuleError::Io { path: Path::new("/").join(path), source };
        match self.open(path) {
            Ok(Some(file)) => content(file).map(Some).map_err(io),
            Ok(None) => Ok(None),
            Err(error) => Err(io(error)),
        }
    }

    /// Opens the regular file at `path`.
    pub(crate) fn open(&self, path: &str) -> io::Result<Option<File>> {
        let path = Path::new("/").join(path);
        let found = match self.mounts.iter().find_map(|(to, from)| Some((from, path.strip_prefix(to).ok()?))) {
            Some((source, rest)) if rest.as_os_str().is_empty() => open_regular(CWD, source, ResolveFlags::empty()),
            Some((source, rest)) => open_in(source, rest),
            None => open_in(&self.rootfs, &path),
        };
        Ok(found?)
    }

    /// Whether the image has no files at all, as the root file system of an artifact.
    pub(crate) fn is_empty(&self) -> Result<bool, ModuleError> {
        let io = |source| ModuleError::Io { path: self.rootfs.clone(), source };
        Ok(fs::read_dir(&self.rootfs).map_err(io)?.next().is_none())
    }

    /// Paths of the `.wasm` files of the image, sorted.
    pub(crate) fn search(&self) -> Result<Vec<String>, ModuleError> {
        let mut found = Vec::new();
        let mut seen = 0;
        let mut folders = vec![(self.rootfs.clone(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let io = |source| ModuleError::Io { path: folder.clone(), source };
            for entry in fs::read_dir(&folder).map_err(io)? {
                let entry = entry.map_err(io)?;
                seen += 1;
                if seen > SEARCH_ENTRIES {
                    return Err(ModuleError::TooMany);
                }
                let (path, kind) = (entry.path(), entry.file_type().map_err(io)?);
                // A link is not followed: what it points to is found by itself.
                if kind.is_dir() && depth < SEARCH_DEPTH {
                    folders.push((path, depth + 1));
                } else if kind.is_file()
                    && path.extension().is_some_and(|extension| extension == "wasm")
                    && let Some(path) = path.strip_prefix(&self.rootfs).ok().and_then(Path::to_str)
                {
                    found.push(path.to_owned());
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// The one module of the image.
    pub(crate) fn only(&self) -> Result<String, ModuleError> {
        only(self.search()?)
    }

    /// Checks that the image has that module.
    pub(crate) fn check(&self, name: &str) -> Result<(), ModuleError> {
        match self.content(name)? {
            Some(content) => content.check(name),
            None => Err(missing(name, &self.search().unwrap_or_default())),
        }
    }
}

impl Content {
    /// Refuses what is no WebAssembly.
    pub(crate) fn check(self, name: &str) -> Result<(), ModuleError> {
        match self {
            Self::Wasm => Ok(()),
            Self::Elf => Err(ModuleError::Precompiled { name: name.to_owned() }),
            Self::Other => Err(ModuleError::NoWasm { name: name.to_owned() }),
        }
    }
}

/// The one of `found`.
pub(crate) fn only(found: Vec<String>) -> Result<String, ModuleError> {
    match <[String; 1]>::try_from(found) {
        Ok([one]) => Ok(one),
        Err(found) if found.is_empty() => Err(ModuleError::None),
        Err(found) => Err(ModuleError::Ambiguous { found: list(&found) }),
    }
}

/// That `name` is not among `found`.
pub(crate) fn missing(name: &str, found: &[String]) -> ModuleError {
    ModuleError::Missing { name: name.to_owned(), found: list(found) }
}

fn list(found: &[String]) -> String {
    match found.len() {
        0 => "no module at all".to_owned(),
        1..=LISTED => found.join(", "),
        more => format!("{}, and {} more", found[..LISTED].join(", "), more - LISTED),
    }
}

/// What a file is. It is read from its start.
pub(crate) fn content(mut file: File) -> io::Result<Content> {
    let mut magic = [0; 4];
    match file.read_exact(&mut magic) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Content::Other),
        read => read?,
    }
    Ok(match &magic {
        WASM_MAGIC => Content::Wasm,
        ELF_MAGIC => Content::Elf,
        _ => Content::Other,
    })
}

/// Opens a path as if `root` were `/`.
fn open_in(root: &Path, path: &Path) -> Result<Option<File>, Errno> {
    let root: OwnedFd = match openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        opened => opened?,
    };
    open_regular(root, path, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

fn open_regular(root: impl AsFd, path: &Path, resolve: ResolveFlags) -> Result<Option<File>, Errno> {
    // First only a handle: to open a device or a FIFO for reading may block, or do something.
    let handle = match openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
        // No such file, or a path or link that leads nowhere.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::XDEV) => return Ok(None),
        opened => opened?,
    };
    if FileType::from_raw_mode(fstat(&handle)?.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    use std::os::fd::AsRawFd;
    let reopened = openat(CWD, format!("/proc/self/fd/{}", handle.as_raw_fd()), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(Some(File::from(reopened)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const WASM: &[u8] = b"\0asm\x01\0\0\0";

    struct Image {
        folder: tempfile::TempDir,
    }

    impl Image {
        fn new(files: &[(&str, &[u8])]) -> Self {
            let image = Self { folder: tempfile::tempdir().unwrap() };
            for (path, bytes) in files {
                let path = image.rootfs().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
            image
        }
        fn rootfs(&self) -> PathBuf {
            let rootfs = self.folder.path().join("rootfs");
            fs::create_dir_all(&rootfs).unwrap();
            rootfs
        }
        fn files(&self) -> Files {
            Files::new(self.rootfs(), std::iter::empty())
        }
    }

    #[test]
    fn a_file_is_known_by_its_first_bytes() {
        let image = Image::new(&[("a", WASM), ("b.wasm", b"\x7fELF....."), ("c.wasm", b"(module)"), ("d", b"")]);
        let files = image.files();
        assert_eq!(files.content("/a").unwrap(), Some(Content::Wasm));
        assert_eq!(files.content("b.wasm").unwrap(), Some(Content::Elf));
        assert_eq!(files.content("/c.wasm").unwrap(), Some(Content::Other));
        assert_eq!(files.content("/d").unwrap(), Some(Content::Other));
        assert_eq!(files.content("/e").unwrap(), None);
        assert!(files.check("b.wasm").unwrap_err().to_string().contains("precompiled"));
        assert!(files.check("c.wasm").unwrap_err().to_string().contains("no WebAssembly"));
    }

    #[test]
    fn links_stay_in_the_image() {
        let image = Image::new(&[("app.wasm", WASM)]);
        // The same file beside the image, where hostile links point to.
        fs::write(image.folder.path().join("outside.wasm"), WASM).unwrap();
        let outside = image.folder.path().join("outside.wasm");
        let link = |name: &str, target: &Path| symlink(target, image.rootfs().join(name)).unwrap();
        link("inside", Path::new("/app.wasm"));
        link("absolute", &outside);
        link("relative", Path::new("../outside.wasm"));
        link("deep", Path::new("../../../../../../../../etc/passwd"));
        link("endless", Path::new("endless"));
        link("magic", Path::new("/proc/self/exe"));
        let files = image.files();
        assert_eq!(files.content("/inside").unwrap(), Some(Content::Wasm));
        for hostile in ["/absolute", "/relative", "/deep", "/endless", "/magic", "/../outside.wasm"] {
            assert_eq!(files.content(hostile).unwrap(), None, "{hostile}");
        }
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let image = Image::new(&[("folder/x", b"x")]);
        let fifo = image.rootfs().join("fifo.wasm");
        rustix::fs::mkfifoat(CWD, &fifo, Mode::RWXU).unwrap();
        // Opening the FIFO would wait for a writer for ever.
        assert_eq!(image.files().content("/fifo.wasm").unwrap(), None);
        assert_eq!(image.files().content("/folder").unwrap(), None);
        assert_eq!(image.files().search().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_volume_hides_the_image_below_it() {
        let image = Image::new(&[("mods/a.wasm", b"native"), ("b.wasm", WASM)]);
        let volume = Image::new(&[("..data/a.wasm", WASM)]);
        symlink("..data/a.wasm", volume.rootfs().join("a.wasm")).unwrap();
        let files = Files::new(image.rootfs(), std::iter::once((PathBuf::from("/mods"), volume.rootfs())));
        assert_eq!(files.content("/mods/a.wasm").unwrap(), Some(Content::Wasm));
        assert_eq!(files.content("/mods/b.wasm").unwrap(), None);
        assert_eq!(files.content("/b.wasm").unwrap(), Some(Content::Wasm));
    }

    #[test]
    fn the_only_module_is_found_and_several_are_listed() {
        let image = Image::new(&[("app/web.wasm", WASM), ("etc/passwd", b"")]);
        assert_eq!(image.files().only().unwrap(), "app/web.wasm");
        fs::write(image.rootfs().join("cart.wasm"), WASM).unwrap();
        let error = image.files().only().unwrap_err().to_string();
        assert!(error.contains("app/web.wasm, cart.wasm"), "{error}");
        assert!(matches!(Image::new(&[]).files().only(), Err(ModuleError::None)));
        let error = image.files().check("wbe.wasm").unwrap_err().to_string();
        assert!(error.contains("wbe.wasm") && error.contains("app/web.wasm"), "{error}");
    }

    #[test]
    fn a_search_ends_after_its_entries() {
        let image = Image::new(&[]);
        for number in 0..SEARCH_ENTRIES {
            fs::write(image.rootfs().join(format!("{number}.txt")), "").unwrap();
        }
        assert_eq!(image.files().search().unwrap(), Vec::<String>::new());
        fs::write(image.rootfs().join("one-more.wasm"), WASM).unwrap();
        assert!(matches!(image.files().search(), Err(ModuleError::TooMany)));
    }
}
