//! A connection to a database, and its statements: SQLite's functions, called safely.
//!
//! SQLite is told that each connection is used by one thread at a time, so every use holds the connection's lock. Uses that
//! may take long run on threads that may wait (`calls`); the others can be done anywhere.
#![expect(unsafe_code, reason = "SQLite is a C library")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use libsqlite3_sys as ffi;

use super::calls::elsewhere;
use super::context::Context;
use super::wire::{Key, Value};
use super::{memory, vfs};

/// One call of a guest takes no longer: else it is interrupted.
const MAX_CALL: Duration = Duration::from_secs(60);
/// Instructions of SQLite's virtual machine between two looks whether it should stop: some microseconds.
const INSTRUCTIONS: c_int = 1_000;
/// Bytes of a text, a blob or a row. Some functions take a time that grows with its square.
const MAX_VALUE_BYTES: c_int = 16 << 20;
/// Bytes of a pattern of LIKE or GLOB: matching takes up to that many times the text's length.
const MAX_PATTERN_BYTES: c_int = 1_000;
/// Databases that one connection attaches beside its own.
const MAX_ATTACHED: c_int = 10;
/// Levels of an expression, and parts of a compound SELECT: SQLite recurses.
const MAX_DEPTH: c_int = 200;
/// The part of an actor's memory that one connection may use to keep pages of its files, and its bounds in KiB.
const CACHE_SHARE: u64 = 8;
const MIN_CACHE_KIB: u64 = 64;
const MAX_CACHE_KIB: u64 = 2_000;
/// What guests may not set, in lower case: what counts for the whole process, makes temporary files, or waits on a thread.
const KEPT_PRAGMAS: [&str; 5] = ["temp_store_directory", "temp_store", "soft_heap_limit", "hard_heap_limit", "busy_timeout"];

/// A result of SQLite other than success: <https://www.sqlite.org/rescode.html>, without its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) c_int);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: the text is static and ends with a zero.
        let text = unsafe { CStr::from_ptr(ffi::sqlite3_errstr(self.0)) };
        write!(f, "{} (SQLite's code {})", text.to_string_lossy(), self.0)
    }
}

/// There is a row.
pub(super) const ROW: Code = Code(ffi::SQLITE_ROW);
/// A text is too long.
pub(crate) const TOO_BIG: Code = Code(ffi::SQLITE_TOOBIG);
pub(super) const BUSY: Code = Code(ffi::SQLITE_BUSY);
pub(super) const INTERRUPTED: Code = Code(ffi::SQLITE_INTERRUPT);

fn check(result: c_int) -> Result<(), Code> {
    match result & 0xff {
        ffi::SQLITE_OK => Ok(()),
        code => Err(Code(code)),
    }
}

/// Configures SQLite, once in a process.
fn initialise() -> Result<(), Code> {
    static DONE: LazyLock<Result<(), Code>> = LazyLock::new(|| {
        let methods = memory::METHODS;
        // SAFETY: nobody uses SQLite before this is done, and each option gets what its documentation says. SQLite copies the
        // allocator's functions.
        unsafe {
            check(ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const methods))?;
            // Statistics would take a lock of the whole process for each allocation.
            check(ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0))?;
            // Small allocations are like all others: see `memory`.
            check(ffi::sqlite3_config(ffi::SQLITE_CONFIG_LOOKASIDE, 0, 0))?;
            // Names of files are names of files: a URI could name a memory that connections share.
            check(ffi::sqlite3_config(ffi::SQLITE_CONFIG_URI, 0))?;
            check(ffi::sqlite3_config(ffi::SQLITE_CONFIG_STMTJRNL_SPILL, -1))?;
            check(ffi::sqlite3_initialize())?;
            check(vfs::register())
        }
    });
    *DONE
}

/// What the callbacks of a connection look at and leave.
struct Signals {
    stop: AtomicBool,
    /// Others had the database locked in a way that waiting can help.
    locked: AtomicBool,
    /// Milliseconds after `START`.
    deadline: AtomicU64,
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A connection. It is closed after its last statement: those own it too.
pub(crate) struct Connection {
    db: Mutex<Db>,
    context: Arc<Context>,
    signals: Arc<Signals>,
}

#[derive(Clone, Copy)]
struct Db(NonNull<ffi::sqlite3>);

impl Db {
    fn as_ptr(self) -> *mut ffi::sqlite3 {
        self.0.as_ptr()
    }
}

// SAFETY: SQLite is compiled to be used by several threads; that one uses it at a time is what the mutex is for.
unsafe impl Send for Db {}

impl Connection {
    /// Opens a database of the context's folders; an empty path, or `:memory:`, one in memory.
    pub(super) fn open(context: Arc<Context>, path: &CStr) -> Result<Self, Code> {
        initialise()?;
        let _entered = context.enter();
        let path = if path.is_empty() { c":memory:" } else { path };
        let flags = ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_CREATE | ffi::SQLITE_OPEN_NOMUTEX;
        let mut db = ptr::null_mut();
        // SAFETY: path and name end with a zero, and there is a place for the connection.
        let opened = check(unsafe { ffi::sqlite3_open_v2(path.as_ptr(), &raw mut db, flags, vfs::NAME.as_ptr()) });
        let Some(db) = NonNull::new(db) else { return Err(Code(ffi::SQLITE_NOMEM)) };
        let signals =
            Signals { stop: AtomicBool::new(false), locked: AtomicBool::new(false), deadline: AtomicU64::new(u64::MAX) };
        // From here on it is closed whatever fails.
        let connection = Self { db: Mutex::new(Db(db)), context: Arc::clone(&context), signals: Arc::new(signals) };
        opened?;
        connection.begin();
        connection.configure(context.actor.limits().memory)?;
        Ok(connection)
    }

    fn configure(&self, memory: u64) -> Result<(), Code> {
        let cache = (memory / 1024 / CACHE_SHARE).clamp(MIN_CACHE_KIB, MAX_CACHE_KIB);
        let cache = CString::new(format!("PRAGMA cache_size=-{cache}")).map_err(|_| TOO_BIG)?;
        let limits = [
            (ffi::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES),
            (ffi::SQLITE_LIMIT_EXPR_DEPTH, MAX_DEPTH),
            (ffi::SQLITE_LIMIT_COMPOUND_SELECT, MAX_DEPTH),
            (ffi::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MAX_PATTERN_BYTES),
            (ffi::SQLITE_LIMIT_ATTACHED, MAX_ATTACHED),
            (ffi::SQLITE_LIMIT_WORKER_THREADS, 0),
        ];
        // Foreign keys are as in SQLite itself; what is compiled in has them on.
        let settings = [
            (ffi::SQLITE_DBCONFIG_DEFENSIVE, 1),
            (ffi::SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
            (ffi::SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0),
            (ffi::SQLITE_DBCONFIG_ENABLE_FKEY, 0),
        ];
        let signals = Arc::as_ptr(&self.signals).cast_mut().cast::<c_void>();
        self.with(|db| {
            // SAFETY: the connection is open, and options get what their documentation says. The signals live as long as it.
            unsafe {
                for (setting, value) in settings {
                    check(ffi::sqlite3_db_config(db, setting, value, ptr::null_mut::<c_int>()))?;
                }
                for (limit, value) in limits {
                    ffi::sqlite3_limit(db, limit, value);
                }
                check(ffi::sqlite3_busy_handler(db, Some(busy), signals))?;
                ffi::sqlite3_progress_handler(db, INSTRUCTIONS, Some(progress), signals);
                let set = |pragma: &CStr| check(ffi::sqlite3_exec(db, pragma.as_ptr(), None, ptr::null_mut(), ptr::null_mut()));
                set(c"PRAGMA temp_store=2")?;
                // This one looks into the file. What is wrong with that is told to who uses it; the cache is larger then.
                set(&cache).unwrap_or_default();
                check(ffi::sqlite3_set_authorizer(db, Some(authorise), ptr::null_mut()))
            }
        })
    }

    /// Uses the connection.
    fn with<T>(&self, work: impl FnOnce(*mut ffi::sqlite3) -> T) -> T {
        let db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let _entered = self.context.enter();
        work(db.as_ptr())
    }

    /// Begins a call: the time that it may take runs.
    pub(super) fn begin(&self) {
        let limit = u64::try_from(MAX_CALL.as_millis()).unwrap_or(u64::MAX);
        self.signals.deadline.store(now().saturating_add(limit), Ordering::Relaxed);
        self.signals.locked.store(false, Ordering::Relaxed);
    }

    /// Whether the call failed for a lock that others will give back.
    pub(super) fn was_locked(&self) -> bool {
        self.signals.locked.load(Ordering::Relaxed)
    }

    /// Interrupts what is being done for good.
    pub(super) fn stop(&self) {
        self.signals.stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.signals.stop.load(Ordering::Relaxed)
    }

    /// Rows that the last statement changed.
    pub(crate) fn changes(&self) -> u32 {
        // SAFETY: the connection is open.
        let changes = self.with(|db| unsafe { ffi::sqlite3_changes(db) });
        u32::try_from(changes).unwrap_or_default()
    }

    /// What went wrong last, and in words; nothing when the last use went well.
    pub(crate) fn last_error(&self) -> Option<(u32, String)> {
        self.with(|db| {
            // SAFETY: the connection is open.
            let code = unsafe { ffi::sqlite3_errcode(db) } & 0xff;
            match code {
                ffi::SQLITE_OK | ffi::SQLITE_ROW | ffi::SQLITE_DONE => None,
                code => Some((u32::try_from(code).unwrap_or_default(), message(db))),
            }
        })
    }

    /// Compiles the first statement of `sql`, from that byte on. Returns it, if there is one, and where it ends.
    pub(super) fn prepare(self: &Arc<Self>, sql: &CStr, at: usize) -> Result<(Option<Statement>, usize), Code> {
        let Some(rest) = sql.to_bytes_with_nul().get(at..).filter(|rest| !rest.is_empty()) else { return Ok((None, at)) };
        self.with(|db| {
            let (mut statement, mut tail) = (ptr::null_mut(), ptr::null());
            // SAFETY: the text ends with a zero, and there are places for what is made of it.
            check(unsafe { ffi::sqlite3_prepare_v3(db, rest.as_ptr().cast(), -1, 0, &raw mut statement, &raw mut tail) })?;
            let end = tail.addr().saturating_sub(rest.as_ptr().addr()).saturating_add(at);
            let statement = NonNull::new(statement);
            Ok((statement.map(|statement| Statement { statement: Stmt(statement), connection: Arc::clone(self) }), end))
        })
    }
}

/// # Safety
/// Of the callers: SQLite's message lives until the next call.
fn message(db: *mut ffi::sqlite3) -> String {
    // SAFETY: the connection is open and in use by this thread alone, and the message ends with a zero.
    unsafe { CStr::from_ptr(ffi::sqlite3_errmsg(db)) }.to_string_lossy().into_owned()
}

impl Drop for Connection {
    /// Closing may write to the disk.
    fn drop(&mut self) {
        let db = *self.db.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (context, signals) = (Arc::clone(&self.context), Arc::clone(&self.signals));
        elsewhere(move || {
            let _entered = context.enter();
            // SAFETY: it was opened, no statement is left, and it is not used again.
            let closed = unsafe { ffi::sqlite3_close(db.as_ptr()) };
            debug_assert_eq!(closed, ffi::SQLITE_OK, "closing a connection");
            drop(signals);
        });
    }
}

/// A statement of a connection.
pub(crate) struct Statement {
    statement: Stmt,
    connection: Arc<Connection>,
}

#[derive(Clone, Copy)]
struct Stmt(NonNull<ffi::sqlite3_stmt>);

impl Stmt {
    fn as_ptr(self) -> *mut ffi::sqlite3_stmt {
        self.0.as_ptr()
    }
}

// SAFETY: a statement is used under its connection's lock alone.
unsafe impl Send for Stmt {}
// SAFETY: as above.
unsafe impl Sync for Stmt {}

/// A column of a row.
pub(crate) enum Column<'a> {
    Null,
    Integer(i64),
    Double(f64),
    Text(&'a str),
    /// Also a text that is not UTF-8.
    Blob(&'a [u8]),
}

impl Statement {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Uses the statement.
    fn with<T>(&self, work: impl FnOnce(*mut ffi::sqlite3_stmt) -> T) -> T {
        self.connection.with(|_| work(self.statement.as_ptr()))
    }

    /// Goes on to the next row: [`ROW`], or `SQLITE_DONE`.
    pub(super) fn step(&self) -> Result<Code, Code> {
        // SAFETY: the statement is not finalised.
        match self.with(|statement| unsafe { ffi::sqlite3_step(statement) }) & 0xff {
            code @ (ffi::SQLITE_ROW | ffi::SQLITE_DONE) => Ok(Code(code)),
            code => Err(Code(code)),
        }
    }

    /// Takes it back to its beginning. May write to the disk.
    pub(super) fn reset(&self) {
        // SAFETY: the statement is not finalised. The result is that of the last step, which was told then.
        self.with(|statement| unsafe { ffi::sqlite3_reset(statement) });
    }

    /// The position of a parameter by its name, with or without the sign before it.
    fn position(&self, name: &str) -> Option<c_int> {
        let find = |name: String| {
            let name = CString::new(name).ok()?;
            // SAFETY: the statement is not finalised, and the name ends with a zero.
            let found = self.with(|statement| unsafe { ffi::sqlite3_bind_parameter_index(statement, name.as_ptr()) });
            (found > 0).then_some(found)
        };
        find(name.to_owned()).or_else(|| [':', '@', '$'].into_iter().find_map(|sign| find(format!("{sign}{name}"))))
    }

    /// Gives a parameter its value; without a key, the one at `next`. Returns the position after it.
    pub(crate) fn bind(&self, key: Key<'_>, next: u64, value: Value<'_>) -> Result<u64, String> {
        let position = match key {
            Key::None => c_int::try_from(next).ok(),
            Key::Numeric(position) => c_int::try_from(position).ok(),
            Key::Name(name) => self.position(name),
        };
        let Some(position) = position else { return Err(format!("the statement has no parameter {key:?}")) };
        let copied = ffi::SQLITE_TRANSIENT();
        let len = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        let bound = self.with(|statement| {
            // SAFETY: the statement is not finalised; SQLite copies texts and blobs, which have that many bytes.
            unsafe {
                match value {
                    Value::Null => ffi::sqlite3_bind_null(statement, position),
                    Value::Integer(value) => ffi::sqlite3_bind_int64(statement, position, value),
                    Value::Double(value) => ffi::sqlite3_bind_double(statement, position, value),
                    Value::Blob(value) => {
                        ffi::sqlite3_bind_blob64(statement, position, value.as_ptr().cast(), len(value.len()), copied)
                    }
                    Value::Text(value) => {
                        let (start, len) = (value.as_ptr().cast(), len(value.len()));
                        ffi::sqlite3_bind_text64(statement, position, start, len, copied, UTF8)
                    }
                }
            }
        });
        match check(bound) {
            Ok(()) => Ok(u64::try_from(position).unwrap_or_default().saturating_add(1)),
            Err(_) => Err(self.connection.with(message)),
        }
    }

    pub(crate) fn column_count(&self) -> u32 {
        // SAFETY: the statement is not finalised.
        let count = self.with(|statement| unsafe { ffi::sqlite3_column_count(statement) });
        u32::try_from(count).unwrap_or_default()
    }

    /// The name of a column. `None`: there is none at that index, or no memory for its name.
    pub(crate) fn column_name(&self, index: u32) -> Option<String> {
        let index = c_int::try_from(index).ok()?;
        self.with(|statement| {
            // SAFETY: the statement is not finalised; its names end with a zero, and live until it is used again.
            let name = unsafe { ffi::sqlite3_column_name(statement, index) };
            // SAFETY: as above.
            (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
        })
    }

    /// Shows a column of the row that the last step went to; of none, null is shown, as SQLite does.
    pub(crate) fn column<T>(&self, index: u32, show: impl FnOnce(Column<'_>) -> T) -> Option<T> {
        let index = c_int::try_from(index).ok()?;
        self.with(|statement| {
            // SAFETY: the statement is not finalised, and this thread alone uses it until the column was shown; so its bytes
            // stay where they are. SQLite checks the index.
            unsafe {
                Some(show(match ffi::sqlite3_column_type(statement, index) {
                    ffi::SQLITE_INTEGER => Column::Integer(ffi::sqlite3_column_int64(statement, index)),
                    ffi::SQLITE_FLOAT => Column::Double(ffi::sqlite3_column_double(statement, index)),
                    ffi::SQLITE_TEXT => text(bytes(statement, index, ffi::sqlite3_column_text(statement, index).cast())?),
                    ffi::SQLITE_BLOB => Column::Blob(bytes(statement, index, ffi::sqlite3_column_blob(statement, index))?),
                    _ => Column::Null,
                }))
            }
        })
    }
}

/// `sqlite3_bind_text64` takes the encoding as a byte.
const UTF8: u8 = 1;

fn text(bytes: &[u8]) -> Column<'_> {
    std::str::from_utf8(bytes).map_or(Column::Blob(bytes), Column::Text)
}

/// The bytes of a column. `None`: there was no memory to show them.
///
/// # Safety
/// `start` is what SQLite just returned for that column, and `'a` ends before the statement is used again.
unsafe fn bytes<'a>(statement: *mut ffi::sqlite3_stmt, index: c_int, start: *const c_void) -> Option<&'a [u8]> {
    // SAFETY: the statement is not finalised.
    let len = unsafe { ffi::sqlite3_column_bytes(statement, index) };
    match usize::try_from(len) {
        Ok(0) => Some(&[]),
        Ok(_) if start.is_null() => None,
        // SAFETY: there are so many bytes, as long as the statement is not used.
        Ok(len) => Some(unsafe { std::slice::from_raw_parts(start.cast(), len) }),
        Err(_) => None,
    }
}

impl Drop for Statement {
    /// Finalising may write to the disk, unless the statement was reset.
    fn drop(&mut self) {
        let (statement, connection) = (self.statement, Arc::clone(&self.connection));
        elsewhere(move || {
            // SAFETY: it was not finalised, and is not used again. The result is that of the last step.
            connection.with(|_| unsafe { ffi::sqlite3_finalize(statement.as_ptr()) });
        });
    }
}

/// # Safety
/// `signals` is what a connection passed, which is in use.
unsafe fn signals<'a>(signals: *mut c_void) -> &'a Signals {
    // SAFETY: the connection owns them.
    unsafe { &*signals.cast::<Signals>() }
}

/// Called where waiting for others' locks can help. It is not done on this thread.
unsafe extern "C" fn busy(passed: *mut c_void, _: c_int) -> c_int {
    // SAFETY: `signals`'s.
    unsafe { signals(passed) }.locked.store(true, Ordering::Relaxed);
    0
}

/// Called every now and then. Returns whether to stop.
unsafe extern "C" fn progress(passed: *mut c_void) -> c_int {
    // SAFETY: `signals`'s.
    let signals = unsafe { signals(passed) };
    let over = signals.stop.load(Ordering::Relaxed) || now() > signals.deadline.load(Ordering::Relaxed);
    c_int::from(over)
}

/// Called for each thing that a statement would do.
unsafe extern "C" fn authorise(
    _: *mut c_void,
    action: c_int,
    name: *const c_char,
    value: *const c_char,
    _: *const c_char,
    _: *const c_char,
) -> c_int {
    if action != ffi::SQLITE_PRAGMA || name.is_null() || value.is_null() {
        return ffi::SQLITE_OK;
    }
    // SAFETY: SQLite passes the pragma's name, which ends with a zero.
    let name = unsafe { CStr::from_ptr(name) };
    let kept = KEPT_PRAGMAS.iter().any(|kept| name.to_bytes().eq_ignore_ascii_case(kept.as_bytes()));
    if kept { ffi::SQLITE_IGNORE } else { ffi::SQLITE_OK }
}

#[cfg(test)]
pub(super) mod tests;
