//! `perigee run` of modules and apps that behave.

use crate::harness::{finish, guest, guests, perigee, repository, run, run_app, run_with};

#[test]
fn a_module_gets_its_arguments_and_only_the_variables_that_are_given() {
    run_with(&["--env", "COLOUR=red"], "hello", &["one", "--two"])
        .code(0)
        .prints("arg 1: one\narg 2: --two\n")
        .prints("env COLOUR=red\n")
        .prints_not("env PATH");
}

#[test]
fn the_exit_code_of_a_module_is_that_of_the_command() {
    run("exit_code", &["0"]).code(0);
    run("exit_code", &["7"]).code(7).says(&["main", "exited with code 7"]);
}

#[test]
fn a_trap_ends_with_134_and_says_where() {
    run("crash", &["0", "trap"]).code(134).says(&["trapped: wasm trap: wasm `unreachable` instruction executed, in ", " < "]);
}

#[test]
fn a_module_of_c_runs_as_well() {
    run("c_hello", &["x"]).code(0).prints("x");
}

#[test]
fn each_class_has_its_own_arguments_and_variables() {
    let shared = "module: hello.wasm, restart: {policy: Temporary}";
    let ran = run_app(&format!(
        "{{name: a, {shared}, args: [for-a], env: [{{name: WHO, value: a}}]}}, {{name: b, {shared}, args: [for-b], instances: 2}}"
    ))
    .code(0);
    // The three actors write at once, so a line of one may stand between two of another.
    let mut lines: Vec<_> = ran.stdout.lines().filter(|line| line.starts_with("arg 1") || line.starts_with("env")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["arg 1: for-a", "arg 1: for-b", "arg 1: for-b", "env WHO=a"], "{}", ran.stdout);
}

#[test]
fn a_value_of_the_cluster_is_given_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "{name: main, module: hello.wasm, restart: {policy: Temporary}, env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: k}}}]}";
    let manifest = crate::harness::write_app(folder.path(), secret);
    let variable = perigee_spec::container_variable(&"main".parse().unwrap(), "TOKEN");
    let run = |env: Option<String>| {
        let mut command = perigee(&["run", "--modules"]);
        command.arg(guests());
        if let Some(env) = env {
            command.args(["--env", &env]);
        }
        finish(command.arg(&manifest))
    };
    run(None).code(126).says(&["main", "TOKEN", &format!("--env {variable}=VALUE")]);
    run(Some(format!("{variable}=abc"))).code(0).prints("env TOKEN=abc");
}

#[test]
fn the_example_hello_greets() {
    let manifest = repository().join("examples/hello/app.yaml");
    let mut child = perigee(&["run", "--modules"]).arg(guests()).arg(manifest).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line).unwrap();
    crate::harness::kill(child.id(), "TERM");
    crate::harness::wait(child).code(143);
    assert!(line.contains("Kubernetes"), "{line:?}");
}

#[test]
fn help_teaches_by_example() {
    let help = finish(&mut perigee(&["run", "--help"])).code(0);
    for word in ["--net", "--dir", "--env", "--deny", "Manifest"] {
        assert!(help.stdout.contains(word), "{help:#?}");
    }
    assert!(guest("hello").exists());
}

#[test]
fn the_guest_of_the_spawn_benchmark_allocates_and_ends() {
    run("brief", &[]).code(0);
}
