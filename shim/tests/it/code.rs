//! Compiled code of modules: made once on the node, and mounted read-only.

use std::{fs, os::unix::fs::PermissionsExt};

use containerd_shim::protos::ttrpc::Code;

use crate::{
    cgroups,
    node::{Node, Shim, refusal},
};

const WASM: &[u8] = b"\0asm\x01\0\0\0";

/// Runs a plain pod of that module. What its worker printed.
async fn run(node: &Node, shim: &Shim, id: &str, module: &[u8]) -> String {
    let bundle = node.bundle(id, &["/app.wasm"], |_, rootfs| {
        fs::write(rootfs.join("app.wasm"), module).unwrap();
        // What an image has there counts for nothing.
        fs::create_dir_all(rootfs.join(".perigee/code")).unwrap();
        fs::write(rootfs.join(".perigee/code/main"), "planted code").unwrap();
        fs::set_permissions(rootfs.join(".perigee/code/main"), fs::Permissions::from_mode(0o444)).unwrap();
    });
    let _out = bundle.hold("stdout");
    shim.create(&bundle).await.unwrap();
    shim.run(id).await;
    assert_eq!(shim.wait(id).await.exit_status, 0);
    let output = bundle.expect("stdout", "written").await;
    shim.delete(id).await.unwrap();
    output
}

// Ids are this test's own: all tests share one parent of cgroups, as the containers of a node do.
#[tokio::test]
async fn a_second_container_of_a_module_starts_without_compiling() {
    let node = Node::new().await;
    let sandbox = node.bundle("pod", &["/hello"], |_, _| {});
    let shim = node.start(&sandbox).await;
    for (id, compiled) in [("first-code", 1), ("second-code", 1)] {
        let output = run(&node, &shim, id, WASM).await;
        assert!(output.contains("--code /.perigee/code\n"), "{output}");
        assert!(output.contains("code /.perigee/code/main \"code \\0asm\" writable false"), "{output}");
        assert_eq!(node.compiled().matches("compiled\n").count(), compiled);
    }
    assert!(node.compiled().contains("/perigee-it/perigee-compile-first-code\n"), "at the pod's expense: {}", node.compiled());
    let left: Vec<_> = cgroups::hierarchies().into_iter().map(|top| top.join("perigee-it/perigee-compile-first-code")).collect();
    assert!(!left.iter().any(|folder| folder.exists()), "{left:?}");
    assert_eq!(fs::metadata(node.code_cache()).unwrap().permissions().mode() & 0o777, 0o700);
    // One that was broken since is made again, never mounted.
    for entry in fs::read_dir(node.code_cache()).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.file_name().unwrap() != "engine" {
            fs::remove_file(&entry).unwrap();
            fs::write(&entry, "torn").unwrap();
        }
    }
    assert!(run(&node, &shim, "third-code", WASM).await.contains("code /.perigee/code/main \"code \\0asm\""));
    assert_eq!(node.compiled().matches("compiled\n").count(), 2);
    shim.end().await;
}

#[tokio::test]
async fn what_the_compiler_refuses_fails_create_and_a_compiler_that_dies_does_not() {
    let node = Node::new().await;
    let sandbox = node.bundle("pod", &["/hello"], |_, _| {});
    let shim = node.start(&sandbox).await;
    let bundle =
        node.bundle("refused-code", &["/x.wasm"], |_, rootfs| fs::write(rootfs.join("x.wasm"), [WASM, b"bad"].concat()).unwrap());
    let (code, message) = refusal(shim.create(&bundle).await);
    assert_eq!((code, message.as_str()), (Code::INVALID_ARGUMENT, "x.wasm: the module is not valid: it is bad"));
    let output = run(&node, &shim, "dying-code", &[WASM, b"die"].concat()).await;
    assert!(!output.contains("--code") && !output.contains("code /"), "{output}");
    // A cache that others can write to is not used.
    fs::set_permissions(node.code_cache(), fs::Permissions::from_mode(0o755)).unwrap();
    let output = run(&node, &shim, "open-code", WASM).await;
    assert!(!output.contains("--code") && !output.contains("code /"), "{output}");
    shim.end().await;
}
