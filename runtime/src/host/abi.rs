//! What a core module can import: `abi.txt` lists every function with its signature. The list is a promise to guests that
//! are compiled already, so a change to it is a decision.

use std::sync::Arc;

use perigee_spec::ActorClass;
use wasmtime::{Store, ValType};

use crate::actor::{Prepare, Quota};
use crate::class::{Class, HostValues};
use crate::engine::{Capacity, Engine};
use crate::guest::Guest;
use crate::host::stdio::Output;
use crate::node::Node;

/// The list that is checked in.
const ABI: &str = include_str!("abi.txt");

/// What the linker has, in the form of the list.
fn table() -> String {
    let mut store = store();
    let linker = super::linker(store.engine()).unwrap();
    let imports: Vec<_> = linker.iter(&mut store).map(|(module, name, import)| (format!("{module} {name}"), import)).collect();
    let line = |(name, import): (String, wasmtime::Extern)| {
        let function = import.into_func().expect("all imports are functions").ty(&store);
        let list = |types: Vec<ValType>| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        format!("{name} ({}) ({})\n", list(function.params().collect()), list(function.results().collect()))
    };
    let mut lines: Vec<_> = imports.into_iter().map(line).collect();
    lines.sort_unstable();
    lines.concat()
}

/// One of a guest that is never run.
fn store() -> Store<Guest> {
    let engine = engine();
    let module = wat::parse_str(r#"(module (func (export "_start")))"#).unwrap();
    let program = engine.compile("empty", &module).unwrap();
    let spec = ActorClass::new("test".parse().unwrap());
    let class = Arc::new(Class::prepare(spec, program, &HostValues::default()).unwrap());
    let sink = || Output::new("test", std::io::sink()).unwrap();
    let node = Node::new(engine, Vec::new(), sink(), sink());
    let prepare = Prepare { class: "test".into(), limits: class.limits(), quota: Quota::new(0, None), counts_in: None };
    let actor = node.system.prepare(prepare).unwrap();
    node.engine.store(Guest::new(Arc::clone(&node), actor, class))
}

fn engine() -> Engine {
    Engine::new(Capacity { actors: 16 }).unwrap()
}

/// A module that imports all of the list.
fn guest_of_everything() -> String {
    let import = |line: &str| {
        let (module, rest) = line.split_once(' ').unwrap();
        let (name, rest) = rest.split_once(' ').unwrap();
        let (params, results) = rest.split_once(") (").unwrap();
        let (params, results) = (params.trim_start_matches('('), results.trim_end_matches(')'));
        format!("(import \"{module}\" \"{name}\" (func (param {params}) (result {results})))\n")
    };
    format!("(module {} (memory (export \"memory\") 1))", ABI.lines().map(import).collect::<String>())
}

#[test]
fn the_list_of_imports_is_what_there_is() {
    let seen = table();
    let (lacks, only_listed): (Vec<_>, Vec<_>) =
        (seen.lines().filter(|line| !ABI.contains(line)).collect(), ABI.lines().filter(|line| !seen.contains(line)).collect());
    assert_eq!(seen, ABI, "abi.txt lacks {lacks:#?}, and has what is not there: {only_listed:#?}");
}

#[test]
fn a_guest_that_imports_everything_links() {
    let module = wat::parse_str(guest_of_everything()).unwrap();
    engine().compile("everything", &module).unwrap();
}
