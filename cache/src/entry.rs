//! One entry: its file, what makes it whole, and the lock that keeps it from being evicted.
//!
//! ```text
//! code, as Wasmtime serialized it (ELF, which is why it comes first)
//! trailer: magic 16 | length of the code 8, little endian | SHA-256 of the code 32 | module 32 | engine 32
//! ```

use std::fs::File;
use std::hash::Hasher as _;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::{CacheError, Digest, Digester, Key};

/// Also the version of this layout.
const MAGIC: &[u8; 16] = b"perigee code 1\r\n";
const TRAILER: usize = 16 + 8 + 3 * Digest::BYTES;
/// Pieces in which a file is read to be checked.
const PIECE: usize = 64 << 10;

/// Compiled code that is whole. As long as it lives, it is not evicted.
#[derive(Debug)]
pub struct Entry {
    file: File,
    path: PathBuf,
}

/// What a trailer says.
struct Trailer {
    length: u64,
    checksum: Digest,
    key: Key,
}

impl Entry {
    pub(crate) fn new(file: File, path: PathBuf) -> Self {
        Self { file, path }
    }

    /// An entry that somebody who has checked it put at `path`: the shim, into a container.
    ///
    /// Its checksum is not computed again: that was done for this very container, and the worker cannot write to it.
    ///
    /// # Errors
    /// There is none, or it is a file that could have come from elsewhere.
    pub fn mounted(path: &Path) -> Result<Self, CacheError> {
        // A FIFO must not be waited for.
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
        let opened = File::options().read(true).custom_flags(flags).open(path);
        let mut file = opened.map_err(CacheError::io(path.display().to_string()))?;
        check_file(&file, path)?;
        read_trailer(&mut file, path)?;
        Ok(Self::new(file, path.to_owned()))
    }

    /// The file with the code.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Checks what the system says of a file: nobody writes to it.
fn check_file(file: &File, path: &Path) -> Result<(), CacheError> {
    let broken = |reason| CacheError::Broken { path: path.to_owned(), reason };
    let metadata = file.metadata().map_err(CacheError::io(path.display().to_string()))?;
    if !metadata.is_file() {
        return Err(broken("it is no regular file"));
    }
    if metadata.mode() & 0o222 != 0 {
        return Err(broken("it can be written to"));
    }
    Ok(())
}

/// Checks that a file is the whole entry for `key`, and that `owner` wrote it. Reads all of it.
pub(crate) fn verify(file: &mut File, path: &Path, key: &Key, owner: u32) -> Result<(), CacheError> {
    let broken = |reason| CacheError::Broken { path: path.to_owned(), reason };
    let io = |source| CacheError::Io { what: path.display().to_string(), source };
    check_file(file, path)?;
    if file.metadata().map_err(io)?.uid() != owner {
        return Err(broken("it belongs to another user"));
    }
    let trailer = read_trailer(file, path)?;
    if trailer.key != *key {
        return Err(broken("it is of another module or engine"));
    }
    if checksum(file, trailer.length).map_err(io)? != trailer.checksum {
        return Err(broken("its checksum is wrong"));
    }
    Ok(())
}

/// Ends a file that holds nothing but code. Its length.
pub(crate) fn seal(file: &mut File, key: &Key) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let checksum = checksum(file, length)?;
    let mut trailer = Vec::with_capacity(TRAILER);
    trailer.extend_from_slice(MAGIC);
    trailer.extend_from_slice(&length.to_le_bytes());
    for digest in [&checksum, &key.module, &key.engine] {
        trailer.extend_from_slice(digest.as_bytes());
    }
    file.seek(SeekFrom::Start(length))?;
    file.write_all(&trailer)?;
    Ok(length + TRAILER as u64)
}

fn read_trailer(file: &mut File, path: &Path) -> Result<Trailer, CacheError> {
    let broken = |reason| CacheError::Broken { path: path.to_owned(), reason };
    let io = |source| CacheError::Io { what: path.display().to_string(), source };
    let size = file.metadata().map_err(io)?.len();
    let length = size.checked_sub(TRAILER as u64).ok_or_else(|| broken("it is too short"))?;
    let mut bytes = [0; TRAILER];
    file.seek(SeekFrom::Start(length)).and_then(|_| file.read_exact(&mut bytes)).map_err(io)?;
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| broken("it does not end as one"))?;
    let trailer = parse(rest).ok_or_else(|| broken("it does not end as one"))?;
    if trailer.length != length {
        return Err(broken("it is not as long as it was"));
    }
    Ok(trailer)
}

fn parse(bytes: &[u8]) -> Option<Trailer> {
    let (length, digests) = bytes.split_first_chunk()?;
    let (checksum, digests) = digests.split_first_chunk()?;
    let (module, digests) = digests.split_first_chunk()?;
    let (engine, _) = digests.split_first_chunk()?;
    let key = Key { module: Digest::from(*module), engine: Digest::from(*engine) };
    Some(Trailer { length: u64::from_le_bytes(*length), checksum: Digest::from(*checksum), key })
}

fn checksum(file: &mut File, length: u64) -> io::Result<Digest> {
    file.seek(SeekFrom::Start(0))?;
    let mut digester = Digester::default();
    let (mut piece, mut code) = (vec![0; PIECE], file.take(length));
    loop {
        match code.read(&mut piece)? {
            0 => return Ok(digester.digest()),
            read => digester.write(piece.get(..read).unwrap_or_default()),
        }
    }
}
