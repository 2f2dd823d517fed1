use super::*;
use crate::{MemoryBytes, RestartPolicy};

const SHOP: &str = r#"
apiVersion: perigee.dev/v1alpha1
kind: ActorApp
metadata: {name: shop, annotations: {note: kept}}
spec:
  image: registry.example/shop:1.4.0
  replicas: 2
  actors:
    - name: web
      module: web.wasm
      args: [--port, "8080"]
      env:
        - {name: LOG, value: info}
        - {name: TOKEN, valueFrom: {secretKeyRef: {name: shop, key: token}}}
      restart: {policy: Transient, maxRestarts: 3, window: 10s}
      limits: {memory: 16Mi, mailbox: 1Mi, actors: 10000}
      permissions:
        spawn: [cart]
        network: {listen: ["0.0.0.0:8080"], connect: ["db.shop.svc:5432", "10.0.0.0/8:443"]}
        filesystem: [{path: /data, readOnly: true}]
    - {name: cart, module: cart.wasm, instances: 0, limits: {memory: 2Mi}}
  ports: [{name: http, containerPort: 8080, servicePort: 80}]
"#;

fn app(yaml: &str) -> Result<AppSpec, SpecError> {
    Manifest::parse(serde_yaml::Deserializer::from_str(yaml))?.app()
}

#[test]
fn a_manifest_becomes_an_app() {
    let app = app(SHOP).unwrap();
    let web = app.class("web").unwrap();
    assert_eq!(web.restart.policy, RestartPolicy::Transient);
    assert_eq!(web.limits.memory, MemoryBytes(16 << 20));
    assert_eq!(web.permissions.network.connect[1].to_string(), "10.0.0.0/8:443");
    let cart = app.class("cart").unwrap();
    assert_eq!((cart.instances, cart.entrypoint.as_str()), (0, "_start"));
    assert_eq!(cart.permissions, crate::Permissions::default(), "what is absent is denied");
}

/// Each mistake, by what replaces what in the manifest above, with what the error must name: field and remedy.
#[test]
fn every_mistake_is_named_with_its_field_and_its_remedy() {
    let cases = [
        ("filesystem:", "filesytem:", &["spec.actors[0].permissions", "filesytem", "`filesystem`"][..]),
        ("memory: 16Mi", "memory: 16MB", &["spec.actors[0].limits.memory", "16MB", "\"16Mi\""]),
        ("memory: 16Mi", "memory: 5Gi", &["spec.actors[0].limits.memory", "5Gi", "64Ki to 4Gi"]),
        ("mailbox: 1Mi", "mailbox: 1", &["spec.actors[0].limits.mailbox", "4Ki"]),
        ("actors: 10000", "actors: 1000001", &["spec.actors[0].limits.actors", "1000000"]),
        ("window: 10s", "window: 10", &["spec.actors[0].restart.window", "\"10s\""]),
        ("Transient", "Sometimes", &["spec.actors[0].restart.policy", "Sometimes", "Permanent"]),
        ("name: cart,", "name: web,", &["spec.actors[1].name", "\"web\"", "another name"]),
        ("name: cart,", "name: Cart,", &["spec.actors[1].name", "\"Cart\"", "lower-case"]),
        ("spawn: [cart]", "spawn: [card]", &["spec.actors[0].permissions.spawn[0]", "\"card\"", "web, cart"]),
        ("0.0.0.0:8080", "8080", &["spec.actors[0].permissions.network.listen[0]", "\"0.0.0.0:8080\""]),
        ("10.0.0.0/8:443", "10.0.0.0/8", &["spec.actors[0].permissions.network.connect[1]", "10.0.0.0/8", "db.shop.svc:5432"]),
        ("path: /data", "path: ../data", &["spec.actors[0].permissions.filesystem[0].path", "../data", "\"/data\""]),
        ("name: TOKEN", "name: LOG", &["spec.actors[0].env[1]", "\"LOG\"", "twice"]),
        ("name: TOKEN,", "name: TOKEN, value: x,", &["spec.actors[0].env[1]", "valueFrom"]),
        ("secretKeyRef: {name: shop, key: token}", "", &["spec.actors[0].env[1].valueFrom", "secretKeyRef"]),
        ("module: web.wasm", "module: ../web.wasm", &["spec.actors[0].module", "../web.wasm"]),
        ("kind: ActorApp", "kind: Pod", &["kind", "Pod", "ActorApp"]),
        ("v1alpha1", "v1", &["apiVersion", "perigee.dev/v1", "perigee.dev/v1alpha1"]),
    ];
    for (from, to, expected) in cases {
        assert!(SHOP.contains(from), "the case {from:?} changes nothing");
        let error = app(&SHOP.replacen(from, to, 1)).expect_err(to).to_string();
        for part in expected {
            assert!(error.contains(part), "{to:?} should name {part:?}: {error}");
        }
    }
}

#[test]
fn a_path_is_told_once() {
    let error = app(&SHOP.replace("filesystem:", "filesytem:")).unwrap_err().to_string();
    assert_eq!(error.matches("spec.actors[0]").count(), 1, "{error}");
}

#[test]
fn an_app_in_which_nothing_starts_is_refused() {
    let yaml = SHOP.replace("module: web.wasm", "instances: 0");
    assert!(matches!(app(&yaml), Err(SpecError::NothingStarts { .. })));
}

#[test]
fn an_app_without_actors_is_refused() {
    let yaml = "{apiVersion: perigee.dev/v1alpha1, kind: ActorApp, metadata: {name: x}, spec: {actors: []}}";
    assert!(matches!(app(yaml), Err(SpecError::NoActors { .. })));
}

#[test]
fn what_is_written_is_what_was_read() {
    let manifest = Manifest::parse(serde_yaml::Deserializer::from_str(SHOP)).unwrap();
    let again = serde_yaml::to_string(&manifest).unwrap();
    assert_eq!(Manifest::parse(serde_yaml::Deserializer::from_str(&again)).unwrap(), manifest);
}
