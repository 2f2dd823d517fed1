//! SQLite's way to the system: files in the folders of the actor that the thread works for, and nothing else.
//!
//! There are no temporary files (SQLite keeps in memory what would go there) and no memory shared through files: with either,
//! another process, or the guest itself by a plain write, could take the whole process down.
#![expect(unsafe_code, reason = "SQLite calls these C functions with pointers to its own structures")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::unix::fs::FileExt;
use std::ptr;

use libsqlite3_sys as ffi;
use nix::errno::Errno;

use super::context::Context;
use super::folder::{self, Access, DatabaseFile, Lock};

/// Name of the way.
pub(super) const NAME: &CStr = c"perigee";
/// Bytes of a path, its end included, as SQLite's own way to Unix has it.
const MAX_PATH_BYTES: c_int = 512;
/// As SQLite assumes of disks (`SQLITE_DEFAULT_SECTOR_SIZE`).
const SECTOR_BYTES: c_int = 4096;

/// What SQLite keeps for an open file.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    file: *mut DatabaseFile,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Version 1 has neither shared memory nor mapped pages.
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// Makes this the only way that connections are opened by. Time and random numbers are SQLite's own.
///
/// # Safety
/// SQLite is initialised.
pub(super) unsafe fn register() -> c_int {
    // SAFETY: the default way is static, and of a plain type; the new one is never freed.
    unsafe {
        let Some(unix) = ffi::sqlite3_vfs_find(ptr::null()).as_ref() else { return ffi::SQLITE_ERROR };
        let Ok(bytes) = c_int::try_from(size_of::<OpenFile>()) else { return ffi::SQLITE_ERROR };
        let own = ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: bytes,
            mxPathname: MAX_PATH_BYTES,
            pNext: ptr::null_mut(),
            zName: NAME.as_ptr(),
            pAppData: ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            ..*unix
        };
        ffi::sqlite3_vfs_register(Box::into_raw(Box::new(own)), 1)
    }
}

/// The file behind a pointer of SQLite's.
///
/// # Safety
/// [`open`] succeeded for it, [`close`] was not called, and nobody else uses it: SQLite uses a connection, with its files, on
/// one thread at a time.
unsafe fn file<'a>(file: *mut ffi::sqlite3_file) -> &'a mut DatabaseFile {
    // SAFETY: the caller's, and a file that is open has a `DatabaseFile`.
    unsafe { &mut *(*file.cast::<OpenFile>()).file }
}

/// A path that SQLite passes: it comes from [`full_pathname`], maybe with something behind it.
///
/// # Safety
/// `name` is null or ends with a zero, and lives as long as the call.
unsafe fn path<'a>(name: *const c_char) -> Option<&'a str> {
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller's.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}

/// # Safety
/// `out` is null or can be written to.
unsafe fn put<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: the caller's.
        unsafe { out.write(value) };
    }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    let file = file.cast::<OpenFile>();
    // SAFETY: SQLite has `szOsFile` bytes at `file`. Without methods, it does not close what was not opened.
    unsafe { file.write(OpenFile { base: ffi::sqlite3_file { pMethods: ptr::null() }, file: ptr::null_mut() }) };
    // SAFETY: of SQLite's functions for paths.
    let (Some(path), Some(context)) = (unsafe { path(name) }, Context::current()) else { return ffi::SQLITE_CANTOPEN };
    let folders = &context.class.folders;
    let opened = DatabaseFile::open(folders, path, wanted(flags));
    let journal = flags & (ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL) != 0;
    let opened = opened.and_then(|opened| if journal { opened.with_name(folders, path) } else { Ok(opened) });
    let Ok(opened) = opened else { return ffi::SQLITE_CANTOPEN };
    let granted = if opened.read_only {
        flags & !(ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_CREATE) | ffi::SQLITE_OPEN_READONLY
    } else {
        flags
    };
    // SAFETY: as above; SQLite may pass no place for the flags.
    unsafe {
        put(flags_out, granted);
        file.write(OpenFile { base: ffi::sqlite3_file { pMethods: &raw const METHODS }, file: Box::into_raw(Box::new(opened)) });
    }
    ffi::SQLITE_OK
}

fn wanted(flags: c_int) -> Access {
    let has = |flag| flags & flag != 0;
    match () {
        () if !has(ffi::SQLITE_OPEN_READWRITE) => Access::Read,
        () if !has(ffi::SQLITE_OPEN_CREATE) => Access::Write,
        () if has(ffi::SQLITE_OPEN_EXCLUSIVE) => Access::CreateNew,
        () => Access::Create,
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: of SQLite's functions for paths.
    let (Some(path), Some(context)) = (unsafe { path(name) }, Context::current()) else { return ffi::SQLITE_IOERR_DELETE };
    match folder::delete(&context.class.folders, path, sync != 0) {
        Ok(()) => ffi::SQLITE_OK,
        Err(Errno::ENOENT) => ffi::SQLITE_IOERR_DELETE_NOENT,
        Err(_) => ffi::SQLITE_IOERR_DELETE,
    }
}

unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, name: *const c_char, _: c_int, out: *mut c_int) -> c_int {
    // SAFETY: of SQLite's functions for paths.
    let found = match (unsafe { path(name) }, Context::current()) {
        (Some(path), Some(context)) => folder::exists(&context.class.folders, path),
        _ => false,
    };
    // SAFETY: SQLite passes a place for the answer.
    unsafe { put(out, c_int::from(found)) };
    ffi::SQLITE_OK
}

/// Paths stay as guests write them: each is found anew in the folders.
unsafe extern "C" fn full_pathname(_: *mut ffi::sqlite3_vfs, name: *const c_char, room: c_int, out: *mut c_char) -> c_int {
    // SAFETY: of SQLite's functions for paths.
    let Some(Ok(path)) = (unsafe { path(name) }).map(CString::new) else { return ffi::SQLITE_CANTOPEN };
    let bytes = path.as_bytes_with_nul();
    if usize::try_from(room).map_or(true, |room| room < bytes.len()) {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: there are `room` bytes at `out`, as many as are copied at least.
    unsafe { ptr::copy_nonoverlapping(path.as_ptr(), out, bytes.len()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let file = file.cast::<OpenFile>();
    // SAFETY: `open` succeeded for it, and SQLite closes it once.
    unsafe {
        drop(Box::from_raw((*file).file));
        file.write(OpenFile { base: ffi::sqlite3_file { pMethods: ptr::null() }, file: ptr::null_mut() });
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(of: *mut ffi::sqlite3_file, buffer: *mut c_void, len: c_int, at: ffi::sqlite3_int64) -> c_int {
    let (Ok(len), Ok(at)) = (usize::try_from(len), u64::try_from(at)) else { return ffi::SQLITE_IOERR_READ };
    // SAFETY: `file`'s; SQLite has `len` bytes at `buffer`, which it may not have written to yet.
    let (file, buffer) = unsafe {
        ptr::write_bytes(buffer.cast::<u8>(), 0, len);
        (file(of), std::slice::from_raw_parts_mut(buffer.cast::<u8>(), len))
    };
    match file.file.read_exact_at(buffer, at) {
        Ok(()) => ffi::SQLITE_OK,
        // SQLite wants zeros behind the end.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => ffi::SQLITE_IOERR_SHORT_READ,
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(of: *mut ffi::sqlite3_file, bytes: *const c_void, len: c_int, at: ffi::sqlite3_int64) -> c_int {
    let (Ok(len), Ok(at)) = (usize::try_from(len), u64::try_from(at)) else { return ffi::SQLITE_IOERR_WRITE };
    // SAFETY: `file`'s; SQLite has `len` bytes at `bytes`.
    let (file, bytes) = unsafe { (file(of), std::slice::from_raw_parts(bytes.cast::<u8>(), len)) };
    match file.file.write_all_at(bytes, at) {
        Ok(()) => ffi::SQLITE_OK,
        Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => ffi::SQLITE_FULL,
        Err(_) => ffi::SQLITE_IOERR_WRITE,
    }
}

unsafe extern "C" fn truncate(of: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: `file`'s.
    let file = unsafe { file(of) };
    let cut = u64::try_from(size).map_err(io::Error::other).and_then(|size| file.file.set_len(size));
    if cut.is_ok() { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_TRUNCATE }
}

unsafe extern "C" fn sync(of: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: `file`'s.
    let synced = unsafe { file(of) }.sync(flags & ffi::SQLITE_SYNC_DATAONLY != 0);
    if synced.is_ok() { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_FSYNC }
}

unsafe extern "C" fn file_size(of: *mut ffi::sqlite3_file, out: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: `file`'s.
    let size = unsafe { file(of) }.file.metadata();
    let Some(size) = size.ok().and_then(|file| i64::try_from(file.len()).ok()) else { return ffi::SQLITE_IOERR_FSTAT };
    // SAFETY: SQLite passes a place for the answer.
    unsafe { put(out, size) };
    ffi::SQLITE_OK
}

fn level(lock: c_int) -> Lock {
    match lock {
        ffi::SQLITE_LOCK_NONE => Lock::None,
        ffi::SQLITE_LOCK_SHARED => Lock::Shared,
        ffi::SQLITE_LOCK_RESERVED => Lock::Reserved,
        ffi::SQLITE_LOCK_PENDING => Lock::Pending,
        _ => Lock::Exclusive,
    }
}

unsafe extern "C" fn lock(of: *mut ffi::sqlite3_file, wanted: c_int) -> c_int {
    // SAFETY: `file`'s.
    match unsafe { file(of) }.lock(level(wanted)) {
        Ok(true) => ffi::SQLITE_OK,
        Ok(false) => ffi::SQLITE_BUSY,
        Err(_) => ffi::SQLITE_IOERR_LOCK,
    }
}

unsafe extern "C" fn unlock(of: *mut ffi::sqlite3_file, kept: c_int) -> c_int {
    // SAFETY: `file`'s.
    let unlocked = unsafe { file(of) }.unlock(level(kept));
    if unlocked.is_ok() { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_UNLOCK }
}

unsafe extern "C" fn check_reserved_lock(of: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: `file`'s.
    let Ok(reserved) = (unsafe { file(of) }).is_reserved() else { return ffi::SQLITE_IOERR_CHECKRESERVEDLOCK };
    // SAFETY: SQLite passes a place for the answer.
    unsafe { put(out, c_int::from(reserved)) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    SECTOR_BYTES
}

/// As SQLite's own way to Unix assumes: a write that is cut off by a loss of power damages nothing beside it.
unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}
