use super::*;

/// Specification of a container of the test cluster, as containerd 2.4 wrote it (with a module as its command).
fn spec(change: impl FnOnce(&mut Value)) -> (ContainerSpec, Value) {
    let mut config: Value = serde_json::from_str(include_str!("testdata/plain.json")).unwrap();
    change(&mut config);
    (ContainerSpec::parse(&config).unwrap(), config)
}

fn annotate(config: &mut Value, key: &str, value: &str) {
    config["annotations"][key] = json!(value);
}

const APP: &str = r#"{"version":1,"name":"shop","actors":[{"name":"web","instances":1}]}"#;

#[test]
fn the_app_is_run_by_its_own_container_only() {
    let (own, _) = spec(|config| {
        annotate(config, annotation::KEY, APP);
        annotate(config, CONTAINER_NAME, APP_CONTAINER);
    });
    assert_eq!(own.app().unwrap().unwrap().name(), "shop");
    let (sidecar, _) = spec(|config| {
        annotate(config, annotation::KEY, APP);
        annotate(config, CONTAINER_NAME, "proxy");
    });
    assert!(sidecar.app().unwrap().is_none());
    let (plain, _) = spec(|_| {});
    assert!(plain.app().unwrap().is_none());
}

#[test]
fn a_forged_annotation_is_refused_with_its_field() {
    let (forged, _) = spec(|config| {
        annotate(config, annotation::KEY, r#"{"version":1,"name":"x","actors":[{"name":"a","permissions":{"root":true}}]}"#);
        annotate(config, CONTAINER_NAME, APP_CONTAINER);
    });
    let error = forged.app().unwrap_err().to_string();
    assert!(error.contains("perigee.dev/app.actors[0].permissions"), "{error}");
    assert!(error.contains("root"), "{error}");
}

#[test]
fn a_command_may_name_a_function() {
    let program = |command: &str| spec(|config| config["process"]["args"] = json!([command])).0.program();
    let is = |path: &str, function: &str| Some(Program { path: path.to_owned(), function: function.to_owned() });
    assert_eq!(program("/app.wasm"), is("/app.wasm", "_start"));
    assert_eq!(program("/app.wasm#run"), is("/app.wasm", "run"));
    assert_eq!(program("/odd#"), is("/odd#", "_start"));
    assert_eq!(program(""), None);
    assert_eq!(spec(|config| config["process"]["args"] = json!([])).0.program(), None);
}

#[test]
fn a_program_is_looked_for_where_a_native_one_would_be() {
    let (spec, _) = spec(|config| {
        config["process"]["cwd"] = json!("/srv");
        config["process"]["env"] = json!(["PATH=/usr/bin:relative:/bin"]);
    });
    assert_eq!(spec.candidates("/a/b.wasm"), ["/a/b.wasm"]);
    assert_eq!(spec.candidates("a/b.wasm"), ["/srv/a/b.wasm"]);
    assert_eq!(spec.candidates("b.wasm"), ["/srv/b.wasm", "/usr/bin/b.wasm", "/bin/b.wasm"]);
}

#[test]
fn a_plain_pod_is_one_class_with_what_its_container_has() {
    let (spec, _) = spec(|_| {});
    let app = spec.plain_app("app.wasm", "_start", |mount| !mount.destination.ends_with(".conf")).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(app.actors()).unwrap());
}

#[test]
fn memory_of_a_plain_pod_stays_in_its_bounds() {
    let limits = |limit: Value| {
        let (spec, _) = spec(|config| config["linux"]["resources"]["memory"] = json!({ "limit": limit }));
        let app = spec.plain_app("a.wasm", "_start", |_| true).unwrap();
        app.actors()[0].limits.clone()
    };
    assert_eq!(limits(json!(64 << 20)).memory, MemoryBytes(64 << 20));
    assert_eq!(limits(json!(MAX_MEMORY.0)).memory, MAX_MEMORY);
    assert_eq!(limits(json!(MAX_MEMORY.0 + 1)).memory, MAX_MEMORY);
    assert_eq!(limits(json!(i64::MAX)).memory, MAX_MEMORY);
    for unlimited in [json!(null), json!(-1), json!(0)] {
        assert_eq!(limits(unlimited).memory, MAX_MEMORY);
    }
    let small = limits(json!(100_000));
    assert_eq!((small.memory, small.mailbox), (MemoryBytes(100_000), MemoryBytes(100_000)));
    assert_eq!(limits(json!(1)).memory, MemoryBytes(MIN_MEMORY));
}

#[test]
fn of_two_variables_with_one_name_the_last_counts() {
    let env = ["A=1", "B=", "A=2=3", "=odd", "noequals"].map(str::to_owned);
    let variables: Vec<_> = variables(&env).into_iter().map(|variable| (variable.name, variable.value.unwrap())).collect();
    assert_eq!(variables, [("B".to_owned(), String::new()), ("A".to_owned(), "2=3".to_owned())]);
}

#[test]
fn only_the_program_and_the_mounts_of_the_worker_change() {
    let (_, config) = spec(|_| {});
    let bundle = Path::new("/run/bundle/perigee");
    let modules = Path::new("/var/work/modules");
    let binary = Path::new("/usr/local/bin/perigee");
    let rewritten = rewrite(config.clone(), bundle, binary, Modules::Image, modules).unwrap();
    insta::assert_snapshot!("image", serde_json::to_string_pretty(&changes(&config, &rewritten)).unwrap());
    let rewritten = rewrite(config.clone(), bundle, binary, Modules::Artifact, modules).unwrap();
    insta::assert_snapshot!("artifact", serde_json::to_string_pretty(&changes(&config, &rewritten)).unwrap());
}

#[test]
fn the_grace_period_of_an_annotation_is_the_workers() {
    let args = |grace: &str| {
        let (_, mut config) = spec(|_| {});
        config["annotations"]["perigee.dev/grace-seconds"] = json!(grace);
        let rewritten = rewrite(config, Path::new("/h"), Path::new("/b"), Modules::Image, Path::new("/m")).unwrap();
        rewritten["process"]["args"].to_string()
    };
    assert!(args("118").ends_with(r#""--grace","118"]"#));
    for wrong in ["", "-1", "x", "1.5", "99999999999"] {
        assert!(!args(wrong).contains("--grace"), "{wrong}");
    }
}

/// What is different, after a check that the rest is the same.
fn changes(before: &Value, after: &Value) -> Value {
    let (old, new) = (before["mounts"].as_array().unwrap(), after["mounts"].as_array().unwrap());
    assert_eq!(&new[..old.len()], &old[..], "mounts are added at the end");
    let changed = json!({ "args": after["process"]["args"], "mounts": new[old.len()..] });
    let mut same = after.clone();
    same["process"]["args"] = before["process"]["args"].clone();
    same["mounts"] = before["mounts"].clone();
    assert_eq!(&same, before);
    changed
}

#[test]
fn a_specification_without_a_process_is_refused() {
    let (_, mut config) = spec(|_| {});
    config.as_object_mut().unwrap().remove("process");
    assert!(rewrite(config, Path::new("/h"), Path::new("/b"), Modules::Image, Path::new("/m")).is_err());
}

#[test]
fn a_pid_namespace_that_is_joined_is_not_owned() {
    assert!(spec(|_| {}).0.owns_pid_namespace());
    let (joined, _) = spec(|config| config["linux"]["namespaces"] = json!([{ "type": "pid", "path": "/proc/1/ns/pid" }]));
    assert!(!joined.owns_pid_namespace());
    assert!(!spec(|config| config["linux"]["namespaces"] = json!([])).0.owns_pid_namespace());
}
