//! What a trap says: its cause first, then where, on one line.

use wasmtime::{Error, WasmBacktrace};

/// Functions that are named, from the innermost: enough to find the place, and few enough for one log line.
const MAX_FRAMES: usize = 8;
/// Bytes of the text: names of functions are the guest's, and may be of any length.
const MAX_TEXT_BYTES: usize = 1_024;

/// The cause of an error and, of a trap, the guest's functions that were running.
pub(crate) fn trap_text(error: &Error) -> String {
    let mut text = whole_text(error);
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    text
}

fn whole_text(error: &Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return format!("{error:#}") };
    // The backtrace is one link of the chain, many lines long: it is told by itself, behind the others.
    let whole = backtrace.to_string();
    let causes: Vec<_> =
        error.chain().map(ToString::to_string).filter(|link| *link != whole && !link.contains(whole.trim())).collect();
    let frames = backtrace.frames().iter().take(MAX_FRAMES);
    let functions: Vec<_> =
        frames.map(|frame| frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), demangled)).collect();
    let causes = if causes.is_empty() { error.root_cause().to_string() } else { causes.join(": ") };
    format!("{causes}, in {}", functions.join(" < "))
}

/// Without the hash that rustc appends.
fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
