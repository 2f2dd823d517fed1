//! What types cannot say about the resource: bounds, merge keys of lists, and rules over more than one field, as tables.
//!
//! The API server estimates the cost of every rule (CEL) from the bounds of what it runs over and refuses a definition
//! whose rules could cost too much, so each list and string below a rule has one. `perigee-spec` checks the same rules
//! again: the operator and the CLI never rely on these tables.

/// A rule of the API server.
pub(super) struct Rule {
    /// Where `self` is: see `schema::field`.
    pub(super) path: &'static str,
    /// CEL.
    pub(super) rule: &'static str,
    /// What is wrong, and what to write.
    pub(super) message: &'static str,
}

/// Path, and JSON keys to set there.
pub(super) const BOUNDS: &[(&str, &str)] = &[
    ("spec.image", r#"{"minLength": 1, "maxLength": 1024}"#),
    ("spec.imagePullSecrets", r#"{"maxItems": 16, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}"#),
    ("spec.imagePullSecrets[].name", r#"{"minLength": 1, "maxLength": 253}"#),
    ("spec.replicas", r#"{"minimum": 0}"#),
    (
        "spec.actors",
        r#"{"minItems": 1, "maxItems": 64, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}"#,
    ),
    ("spec.actors[].module", r#"{"minLength": 1, "maxLength": 1024}"#),
    ("spec.actors[].entrypoint", r#"{"minLength": 1, "maxLength": 256}"#),
    ("spec.actors[].args", r#"{"maxItems": 256, "x-kubernetes-list-type": "atomic"}"#),
    ("spec.actors[].instances", r#"{"maximum": 10000}"#),
    ("spec.actors[].env", r#"{"maxItems": 128, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}"#),
    ("spec.actors[].env[].name", r#"{"pattern": "^[^=]+$", "maxLength": 256}"#),
    ("spec.actors[].restart.maxRestarts", r#"{"maximum": 4294967295}"#),
    // At most 10 digits, which as hours still fit into 64 bits of milliseconds; never zero.
    ("spec.actors[].restart.window", r#"{"pattern": "^0*[1-9][0-9]*(ms|s|m|h)$", "maxLength": 12}"#),
    ("spec.actors[].restart.backoff", r#"{"pattern": "^0*[1-9][0-9]*(ms|s|m|h)$", "maxLength": 12}"#),
    ("spec.actors[].restart.maxBackoff", r#"{"pattern": "^0*[1-9][0-9]*(ms|s|m|h)$", "maxLength": 12}"#),
    ("spec.actors[].limits.memory", r#"{"maxLength": 20}"#),
    ("spec.actors[].limits.mailbox", r#"{"maxLength": 20}"#),
    ("spec.actors[].limits.actors", r#"{"maximum": 1000000}"#),
    ("spec.actors[].permissions.spawn", r#"{"maxItems": 64, "x-kubernetes-list-type": "set"}"#),
    ("spec.actors[].permissions.network.listen", r#"{"maxItems": 64, "x-kubernetes-list-type": "set"}"#),
    ("spec.actors[].permissions.network.connect", r#"{"maxItems": 256, "x-kubernetes-list-type": "set"}"#),
    (
        "spec.actors[].permissions.filesystem",
        r#"{"maxItems": 32, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["path"]}"#,
    ),
    ("spec.actors[].permissions.filesystem[].path", r#"{"minLength": 1, "maxLength": 1024}"#),
    ("spec.ports", r#"{"maxItems": 32, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}"#),
    // Kubernetes' own rule for names of ports (IANA_SVC_NAME).
    ("spec.ports[].name", r#"{"pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 15}"#),
    ("spec.ports[].containerPort", r#"{"minimum": 1}"#),
    ("spec.ports[].servicePort", r#"{"minimum": 1}"#),
    ("status.conditions", r#"{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}"#),
];

pub(super) const RULES: &[Rule] = &[
    Rule {
        path: "",
        rule: "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 63",
        message: "the name is also that of a Service and a label: write lower-case letters, digits and dashes, beginning with a letter, 63 at most",
    },
    Rule {
        path: "spec",
        rule: "self.actors.exists(class, class.instances > 0)",
        message: "every class has instances: 0, so nothing would start: give one of them instances: 1",
    },
    Rule {
        path: "spec",
        rule: "self.actors.all(class, !has(class.permissions) || !has(class.permissions.spawn) || class.permissions.spawn.all(name, self.actors.exists(other, other.name == name)))",
        message: "permissions.spawn names a class that spec.actors does not declare",
    },
    Rule {
        path: "spec.actors[].module",
        rule: "!self.matches('(^|/)[.][.](/|$)')",
        message: "no path in the image: write one without \"..\", such as \"web.wasm\"",
    },
    Rule {
        path: "spec.actors[].env[]",
        rule: "!has(self.value) || !has(self.valueFrom)",
        message: "has both value and valueFrom: leave one out",
    },
    Rule {
        path: "spec.actors[].env[].valueFrom",
        rule: "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef)].exists_one(given, given)",
        message: "write exactly one of secretKeyRef, configMapKeyRef, fieldRef",
    },
    Rule {
        // The defaults are those of `spec/src/restart.rs`, which the schema leaves out.
        path: "spec.actors[].restart",
        rule: "duration(has(self.maxBackoff) ? self.maxBackoff : '10s') >= duration(has(self.backoff) ? self.backoff : '100ms')",
        message: "maxBackoff is less than backoff: write that or more",
    },
    Rule {
        path: "spec.actors[].limits",
        rule: "quantity(string(self.memory)).compareTo(quantity('64Ki')) >= 0 && quantity(string(self.memory)).compareTo(quantity('4Gi')) <= 0",
        message: "memory is out of range: write 64Ki to 4Gi",
    },
    Rule {
        path: "spec.actors[].limits",
        rule: "quantity(string(self.mailbox)).compareTo(quantity('4Ki')) >= 0 && quantity(string(self.mailbox)).compareTo(quantity(string(self.memory))) <= 0",
        message: "mailbox is out of range: write 4Ki or more, and no more than memory, which it is part of",
    },
    Rule {
        path: "spec.actors[].permissions.network.listen[]",
        rule: "self.matches('^([*]|[0-9.]+|\\\\[[0-9a-fA-F:.]+\\\\]):([0-9]{1,5}|[*])$')",
        message: "no address to listen on: write address:port, such as \"0.0.0.0:8080\" or \"[::1]:*\"",
    },
    Rule {
        path: "spec.actors[].permissions.filesystem[].path",
        rule: "self.startsWith('/') && !self.matches('/[.][.]?(/|$)')",
        message: "no absolute path without \".\" and \"..\": write one such as \"/data\"",
    },
    Rule {
        path: "spec.ports",
        rule: "self.all(port, self.exists_one(other, other.containerPort == port.containerPort && other.protocol == port.protocol))",
        message: "two entries have the same containerPort and protocol",
    },
    Rule {
        path: "spec.ports",
        rule: "self.all(port, self.exists_one(other, (has(other.servicePort) ? other.servicePort : other.containerPort) == (has(port.servicePort) ? port.servicePort : port.containerPort) && other.protocol == port.protocol))",
        message: "two entries have the same servicePort (containerPort where it is absent) and protocol",
    },
];
