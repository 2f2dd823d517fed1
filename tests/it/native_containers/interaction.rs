//! kubectl exec, attach, cp, port-forward and debug.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use perigee_e2e::busybox;
use perigee_e2e::cluster::{bounded, output_of};
use perigee_e2e::ns::{Namespace, with_perigee};
use perigee_e2e::wait;
use serde_json::json;

/// kubectl in the namespace.
fn kubectl(namespace: &Namespace, args: &[&str]) -> Command {
    let mut command = namespace.cluster.command("kubectl");
    command.args(["--namespace", &namespace.name]).args(args);
    command
}

/// A pod that stays until it is deleted.
fn staying(namespace: &Namespace, name: &str) -> Result<()> {
    busybox::import(namespace.cluster)?;
    namespace.apply(&busybox::pod(name, "echo ready; trap exit TERM; while :; do sleep 1; done"))?;
    namespace.wait_for_log(name, "ready").map(drop)
}

/// Runs kubectl with this on its standard input; exit code and output.
fn with_input(command: &Command, input: &str) -> Result<(Option<i32>, String)> {
    let mut child = bounded(command).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("piped")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[test]
fn exec_has_input_output_and_an_exit_code() -> Result<()> {
    with_perigee(|namespace| {
        staying(namespace, "box")?;
        let exec = |script: &str| kubectl(namespace, &["exec", "--stdin", "box", "--", "sh", "-c", script]);
        ensure!(with_input(&exec("tr a-z A-Z"), "words\n")? == (Some(0), "WORDS\n".to_owned()));
        ensure!(with_input(&exec("exit 42"), "")?.0 == Some(42));
        let many = with_input(&exec("cat"), &"0123456789".repeat(50_000))?;
        ensure!(many.1.len() == 500_000, "{} bytes came back", many.1.len());
        let failure = output_of(&mut kubectl(namespace, &["exec", "box", "--", "no-such-program"])).unwrap_err().to_string();
        ensure!(failure.contains("no-such-program"), "{failure}");
        Ok(())
    })
}

#[test]
fn exec_with_a_terminal_has_its_size() -> Result<()> {
    with_perigee(|namespace| {
        staying(namespace, "box")?;
        // The size comes after the start, as with any runtime. script(1) gives kubectl a terminal of its own.
        let exec = kubectl(
            namespace,
            &[
                "exec",
                "--stdin",
                "--tty",
                "box",
                "--",
                "sh",
                "-c",
                "tty; until [ -n \"$(stty size 2>/dev/null)\" ]; do sleep 0.1; done; stty size",
            ],
        );
        let words: Vec<_> =
            std::iter::once(exec.get_program()).chain(exec.get_args()).map(|word| word.to_string_lossy()).collect();
        let line = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let mut script = namespace.cluster.command("script");
        script.args(["--quiet", "--return", "--command", &format!("stty rows 33 cols 77; {line}"), "/dev/null"]);
        let printed = output_of(&mut script)?;
        ensure!(printed.contains("/dev/pts/") && printed.contains("33 77"), "{printed:?}");
        Ok(())
    })
}

#[test]
fn attach_reaches_a_containers_own_input_and_output() -> Result<()> {
    with_perigee(|namespace| {
        busybox::import(namespace.cluster)?;
        let mut pod = busybox::pod("reader", "while read -r line; do echo \"got $line\"; done; echo over");
        pod["spec"]["containers"][0]["stdin"] = json!(true);
        pod["spec"]["containers"][0]["stdinOnce"] = json!(true);
        namespace.apply(&pod)?;
        namespace.wait_for_phase("reader", "Running")?;
        let attached = with_input(&kubectl(namespace, &["attach", "--stdin", "reader"]), "one\ntwo\n")?;
        namespace.wait_for_phase("reader", "Succeeded")?;
        let log = namespace.logs("reader")?;
        ensure!(log == "got one\ngot two\nover\n", "{log:?}, attached: {attached:?}");
        Ok(())
    })
}

#[test]
fn files_are_copied_there_and_back() -> Result<()> {
    with_perigee(|namespace| {
        staying(namespace, "box")?;
        let folder = namespace.cluster.folder().join(&namespace.name);
        std::fs::create_dir_all(&folder)?;
        let (there, back) = (folder.join("there"), folder.join("back"));
        let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&there, &content)?;
        output_of(kubectl(namespace, &["cp"]).arg(&there).arg("box:/tmp/copy"))?;
        output_of(kubectl(namespace, &["cp", "box:/tmp/copy"]).arg(&back))?;
        ensure!(std::fs::read(&back)? == content, "what came back differs");
        std::fs::remove_dir_all(&folder)?;
        Ok(())
    })
}

#[test]
fn a_port_is_forwarded() -> Result<()> {
    with_perigee(|namespace| {
        busybox::import(namespace.cluster)?;
        namespace.apply(&busybox::pod("web", "while :; do printf 'forwarded\\n' | nc -l -p 8080; done"))?;
        namespace.wait_for_phase("web", "Running")?;
        let mut forward = kubectl(namespace, &["port-forward", "pod/web", ":8080"]);
        let mut child = forward.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        // Open until the end: kubectl goes on to print.
        let mut lines = BufReader::new(child.stdout.take().context("piped")?);
        lines.read_line(&mut line)?;
        let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).map(str::to_owned);
        let answer = port.with_context(|| format!("kubectl says {line:?}")).and_then(|port| {
            wait::until("the port answers", wait::LIMIT, || {
                let mut answer = String::new();
                std::net::TcpStream::connect(format!("127.0.0.1:{port}"))?.read_to_string(&mut answer)?;
                ensure!(answer == "forwarded\n", "{answer:?}");
                Ok(())
            })
        });
        child.kill()?;
        child.wait()?;
        answer
    })
}

#[test]
fn a_debug_container_joins_a_running_pod() -> Result<()> {
    with_perigee(|namespace| {
        staying(namespace, "box")?;
        let debug = ["debug", "box", "--image", busybox::IMAGE, "--image-pull-policy=Never", "--target=main", "--container=look"];
        output_of(kubectl(namespace, &debug).args(["--", "/busybox", "sh", "-c", "/busybox ps; echo looked"]))?;
        wait::until("the debug container has looked", wait::LIMIT, || {
            let log = namespace.kubectl(&["logs", "box", "--container", "look"])?;
            ensure!(log.contains("looked") && log.contains("while :"), "{log}");
            Ok(())
        })
    })
}
