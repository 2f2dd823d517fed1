//! Users, capabilities, filters, namespaces.

use anyhow::{Result, ensure};
use perigee_e2e::busybox;
use perigee_e2e::ns::{Namespace, with_perigee};
use serde_json::{Value, json};

/// What the container is allowed, from the inside.
const SCRIPT: &str = r#"
echo "id: $(/busybox id -u):$(/busybox id -g):$(/busybox id -G)"
/busybox grep -E '^(Seccomp|NoNewPrivs|CapEff|CapBnd):' /proc/self/status | /busybox tr '\t' ' '
echo "write: $( (echo x > /file) 2>/dev/null && echo works || echo refused)"
echo "sysctl: $(/busybox cat /proc/sys/net/ipv4/ip_unprivileged_port_start)"
echo "host: $(/busybox hostname)"
echo "processes: $(/busybox ls /proc | /busybox grep -c '^[0-9]')"
echo "init: $(/busybox cat /proc/1/comm)"
echo "links: $(/busybox ls /sys/class/net | /busybox tr '\n' ' ')"
"#;

/// The lines that a pod with these additions prints.
fn lines(namespace: &Namespace, name: &str, pod_fields: &Value, container_context: &Value) -> Result<Vec<String>> {
    let mut pod = busybox::pod(name, SCRIPT);
    for (field, value) in pod_fields.as_object().into_iter().flatten() {
        pod["spec"][field] = value.clone();
    }
    pod["spec"]["containers"][0]["securityContext"] = container_context.clone();
    namespace.apply(&pod)?;
    namespace.wait_for_phase(name, "Succeeded")?;
    Ok(namespace.logs(name)?.lines().map(str::to_owned).collect())
}

fn has(lines: &[String], line: &str) -> Result<()> {
    ensure!(lines.iter().any(|said| said == line), "no line {line:?} in {lines:#?}");
    Ok(())
}

#[test]
fn a_container_is_who_it_is_told_to_be_and_no_more() -> Result<()> {
    with_perigee(|namespace| {
        busybox::import(namespace.cluster)?;
        let pod = json!({"securityContext": {
            "runAsUser": 1234, "runAsGroup": 2345, "supplementalGroups": [3456], "fsGroup": 4567,
            "seccompProfile": {"type": "RuntimeDefault"},
            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "1000"}],
        }});
        let container = json!({
            "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        });
        let seen = lines(namespace, "restricted", &pod, &container)?;
        for line in [
            "id: 1234:2345:2345 3456 4567",
            "Seccomp: 2",
            "NoNewPrivs: 1",
            "CapEff: 0000000000000000",
            "CapBnd: 0000000000000000",
            "write: refused",
            "sysctl: 1000",
            "host: restricted",
        ] {
            has(&seen, line)?;
        }
        let open = lines(namespace, "open", &json!({"hostname": "named"}), &json!({"capabilities": {"add": ["NET_ADMIN"]}}))?;
        // What containerd gives by default (00000000a80425fb), and bit 12, which is NET_ADMIN.
        for line in ["id: 0:0:0", "Seccomp: 0", "NoNewPrivs: 0", "CapEff: 00000000a80435fb", "write: works", "host: named"] {
            has(&open, line)?;
        }
        Ok(())
    })
}

#[test]
fn namespaces_are_shared_as_asked() -> Result<()> {
    with_perigee(|namespace| {
        busybox::import(namespace.cluster)?;
        let own = lines(namespace, "own", &json!({}), &json!({}))?;
        has(&own, "init: busybox")?;
        let shared = lines(namespace, "shared", &json!({"shareProcessNamespace": true}), &json!({}))?;
        has(&shared, "init: pause")?;
        let host = lines(namespace, "host", &json!({"hostNetwork": true, "hostPID": true}), &json!({}))?;
        let links = std::fs::read_dir("/sys/class/net")?.count();
        let seen = host.iter().find_map(|line| line.strip_prefix("links: ")).unwrap_or_default();
        ensure!(seen.split_whitespace().count() >= links.min(2) && seen.contains("lo"), "{host:#?}");
        ensure!(!host.iter().any(|line| line == "init: busybox" || line == "init: pause"), "{host:#?}");
        Ok(())
    })
}
