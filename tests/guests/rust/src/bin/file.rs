//! `file read|write|list|hold PATH [COUNT]`: prints `ok: …`, or `error: KIND: …` with the kind that std gives it. `hold` opens
//! PATH that often, and closes none. WASI only.

use std::fs;
use std::io::Error;

const USAGE: &str = "file read|write|list|hold PATH [COUNT]";

fn main() {
    let (action, path) = (guests::text_arg(0, USAGE), guests::text_arg(1, USAGE));
    let result = match action.as_str() {
        "read" => fs::read_to_string(path).map(|text| format!("{} bytes: {text:?}", text.len())),
        "write" => fs::write(path, "written by a guest\n").map(|()| "written".to_owned()),
        "list" => list(&path),
        "hold" => hold(&path, guests::arg(2, 1)),
        other => panic!("argument 0 is {other:?}: {USAGE}"),
    };
    guests::print_result(result.map_err(|error| format!("{:?}: {error}", error.kind())));
}

fn list(path: &str) -> Result<String, Error> {
    let entries = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = entries.collect::<Result<Vec<_>, Error>>()?;
    names.sort();
    Ok(names.join(" "))
}

fn hold(path: &str, count: usize) -> Result<String, Error> {
    let files = (0..count).map(|_| fs::File::open(path)).collect::<Result<Vec<_>, Error>>()?;
    Ok(format!("{} held", files.len()))
}
