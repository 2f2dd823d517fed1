//! Volumes of every kind, read-only and not.

use anyhow::{Result, ensure};
use perigee_e2e::busybox;
use perigee_e2e::ns::with_perigee;
use serde_json::json;

/// What the container sees of its volumes, one line each.
const SCRIPT: &str = r#"
say() { echo "$1: $(eval "$2" 2>&1 | tail -n1)"; }
say emptydir 'echo x > /empty/file && cat /empty/file'
say memory 'grep " /memory " /proc/mounts | cut -d" " -f1'
say memory-size 'df -k /memory | tail -n1 | awk "{print \$2}"'
say config 'cat /config/one'
say config-write 'echo x > /config/new || echo refused'
say config-sub 'cat /config-sub'
say secret 'cat /secret/password'
say secret-mode 'stat -Lc %a /secret/password'
say label 'cat /projected/label'
say token 'test -s /projected/token && echo there'
say host 'cat /host/note'
say host-write 'echo x > /host/new || echo refused'
say sub 'echo y > /sub/file && cat /sub/file'
say sub-seen 'cat /empty/inner/file'
say fixed 'echo x > /fixed/new || echo refused'
say shm 'echo x > /dev/shm/file && cat /dev/shm/file'
"#;

#[test]
fn volumes_of_every_kind_are_mounted_as_asked() -> Result<()> {
    with_perigee(|namespace| {
        busybox::import(namespace.cluster)?;
        let host = namespace.cluster.folder().join(format!("host-{}", namespace.name));
        std::fs::create_dir_all(&host)?;
        std::fs::write(host.join("note"), "of the host\n")?;
        let mut pod = busybox::pod("volumes", SCRIPT);
        pod["metadata"]["labels"]["colour"] = json!("blue");
        pod["spec"]["volumes"] = json!([
            {"name": "empty", "emptyDir": {}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "config", "configMap": {"name": "config"}},
            {"name": "secret", "secret": {"secretName": "secret", "defaultMode": 0o400}},
            {"name": "projected", "projected": {"sources": [
                {"downwardAPI": {"items": [{"path": "label", "fieldRef": {"fieldPath": "metadata.labels['colour']"}}]}},
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
            ]}},
            {"name": "host", "hostPath": {"path": host, "type": "Directory"}},
        ]);
        pod["spec"]["containers"][0]["volumeMounts"] = json!([
            {"name": "empty", "mountPath": "/empty"},
            {"name": "memory", "mountPath": "/memory"},
            {"name": "config", "mountPath": "/config"},
            {"name": "config", "mountPath": "/config-sub", "subPath": "two"},
            {"name": "secret", "mountPath": "/secret"},
            {"name": "projected", "mountPath": "/projected"},
            {"name": "host", "mountPath": "/host", "readOnly": true},
            {"name": "empty", "mountPath": "/sub", "subPath": "inner"},
            {"name": "empty", "mountPath": "/fixed", "readOnly": true},
        ]);
        namespace.apply_all(&[
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"}, "data": {"one": "first", "two": "second"}}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret"}, "stringData": {"password": "hush"}}),
            pod,
        ])?;
        namespace.wait_for_phase("volumes", "Succeeded")?;
        let log = namespace.logs("volumes")?;
        for line in [
            "emptydir: x",
            "memory: tmpfs",
            "memory-size: 1024",
            "config: first",
            "config-write: refused",
            "config-sub: second",
            "secret: hush",
            "secret-mode: 400",
            "label: blue",
            "token: there",
            "host: of the host",
            "host-write: refused",
            "sub: y",
            "sub-seen: y",
            "fixed: refused",
            "shm: x",
        ] {
            ensure!(log.lines().any(|said| said == line), "no line {line:?} in:\n{log}");
        }
        std::fs::remove_dir_all(&host)?;
        Ok(())
    })
}
