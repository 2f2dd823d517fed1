//! Containers that the worker runs.

use std::{fs, path::Path};

use containerd_shim::protos::ttrpc::Code;
use serde_json::{Value, json};

use crate::node::{Node, refusal};

const WASM: &[u8] = b"\0asm\x01\0\0\0";

fn app(config: &mut Value, actors: &Value) {
    let app = json!({ "version": 1, "name": "shop", "actors": actors }).to_string();
    config["annotations"] = json!({ "io.kubernetes.cri.container-name": "app", "perigee.dev/app": app });
}

#[tokio::test]
async fn a_module_is_run_by_the_worker_in_a_read_only_root() {
    let node = Node::new().await;
    let bundle = node.bundle("a", &["/app.wasm", "--port", "80"], |_, rootfs| fs::write(rootfs.join("app.wasm"), WASM).unwrap());
    let _out = bundle.hold("stdout");
    let shim = node.start(&bundle).await;
    shim.create(&bundle).await.unwrap();
    shim.run("a").await;
    assert_eq!(shim.wait("a").await.exit_status, 0);
    let output = bundle.expect("stdout", "written").await;
    let mut lines = output.lines();
    assert_eq!(lines.next(), Some("args worker --app /.perigee/app.json --modules / --control-fd 3 --code /.perigee/code"));
    let app: Value = serde_json::from_str(lines.next().unwrap().strip_prefix("app ").unwrap()).unwrap();
    assert_eq!(app["actors"][0]["module"], "app.wasm");
    assert_eq!(app["actors"][0]["args"], json!(["--port", "80"]));
    assert!(lines.next().unwrap().starts_with("code /.perigee/code/main"), "{output}");
    assert_eq!(lines.next(), Some("written false"), "the app's specification is read-only");
    shim.delete("a").await.unwrap();
    shim.end().await;
}

#[tokio::test]
async fn an_app_gets_the_only_module() {
    let node = Node::new().await;
    let bundle = node.bundle("a", &["/whatever"], |config, rootfs| {
        app(config, &json!([{ "name": "web" }]));
        config["process"]["env"] = json!(["STAY=1"]);
        fs::create_dir(rootfs.join("srv")).unwrap();
        fs::write(rootfs.join("srv/web.wasm"), WASM).unwrap();
    });
    let _out = bundle.hold("stdout");
    let shim = node.start(&bundle).await;
    shim.create(&bundle).await.unwrap();
    shim.run("a").await;
    assert!(bundle.expect("stdout", "written").await.contains(r#""module":"srv/web.wasm""#));
    shim.kill("a", 9).await.unwrap();
    assert_eq!(shim.wait("a").await.exit_status, 137);
    shim.delete("a").await.unwrap();
    shim.end().await;
}

#[tokio::test]
async fn bad_inputs_fail_create_with_a_sentence_and_leave_nothing() {
    type Change = fn(&mut Value, &Path);
    let cases: [(&str, &str, Change); 7] = [
        ("/x.wasm", "is no WebAssembly", |_, rootfs| fs::write(rootfs.join("x.wasm"), "(module)").unwrap()),
        ("/x.cwasm", "precompiled modules are never loaded", |_, rootfs| {
            fs::copy(rootfs.join("hello"), rootfs.join("x.cwasm")).map(drop).unwrap();
        }),
        ("/x.wasm", "is not in the image", |_, _| {}),
        ("/x.wasm", "is not in the image", |_, rootfs| std::os::unix::fs::symlink("/etc/passwd", rootfs.join("x.wasm")).unwrap()),
        ("/", "the image has no WebAssembly module", |config, _| app(config, &json!([{ "name": "web" }]))),
        ("/", "class web: module \"y.wasm\" is not in the image; found: x.wasm", |config, rootfs| {
            app(config, &json!([{ "name": "web", "module": "y.wasm" }]));
            fs::write(rootfs.join("x.wasm"), WASM).unwrap();
        }),
        ("/", "unknown field `root`", |config, _| app(config, &json!([{ "name": "web", "permissions": { "root": true } }]))),
    ];
    let node = Node::new().await;
    let sandbox = node.bundle("pod", &["/hello"], |_, _| {});
    let shim = node.start(&sandbox).await;
    for (number, (command, expected, change)) in cases.into_iter().enumerate() {
        let bundle = node.bundle(&format!("c{number}"), &[command], change);
        let (code, message) = refusal(shim.create(&bundle).await);
        assert_eq!(code, Code::INVALID_ARGUMENT, "{message}");
        assert!(message.contains(expected), "{message}");
        assert!(!bundle.path.join("perigee").exists());
    }
    assert_eq!(node.runc_state(), Vec::<String>::new());
    shim.end().await;
    assert_eq!(node.events.topics(), Vec::<String>::new());
}

#[tokio::test]
async fn a_node_without_the_worker_says_which_file_is_missing() {
    let node = Node::new().await;
    let worker = node.path().join("bin/perigee");
    fs::remove_file(&worker).unwrap();
    let bundle = node.bundle("a", &["/app.wasm"], |_, rootfs| fs::write(rootfs.join("app.wasm"), WASM).unwrap());
    let shim = node.start(&bundle).await;
    let (_, message) = refusal(shim.create(&bundle).await);
    assert!(message.contains(worker.to_str().unwrap()), "{message}");
    shim.end().await;
}
