//! Devices: which are made in `/dev`, and which may be used. Pure.

use super::{plan::Unsupported, spec};

/// Every container's own: path, major, minor.
const STANDARD: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/random", 1, 8),
    ("/dev/full", 1, 7),
    ("/dev/tty", 5, 0),
    ("/dev/zero", 1, 5),
    ("/dev/urandom", 1, 9),
];
/// What may be used besides, as in runc: any device may be made though not opened, pseudo-terminals, and /dev/net/tun.
const ALSO_ALLOWED: [(char, Number, Number, &str); 5] = [
    ('c', Number::All, Number::All, "m"),
    ('b', Number::All, Number::All, "m"),
    ('c', Number::Is(136), Number::All, "rwm"),
    ('c', Number::Is(5), Number::Is(2), "rwm"),
    ('c', Number::Is(10), Number::Is(200), "rwm"),
];

/// A device number, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    All,
    Is(u32),
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Is(number) => number.fmt(f),
        }
    }
}

/// Which devices a container may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DeviceRules {
    All,
    Only(Vec<Allowed>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    /// `c` or `b`.
    pub(super) kind: char,
    pub(super) major: Number,
    pub(super) minor: Number,
    /// Of `r`, `w` and `m`.
    pub(super) access: String,
}

impl DeviceRules {
    /// Rules are read in their order. Of those that take away, only "all" is understood.
    pub(super) fn of(rules: &[spec::DeviceRule]) -> Result<Self, Unsupported> {
        let mut result = Self::Only(Vec::new());
        for rule in rules {
            let is_all = matches!(rule.kind.as_str(), "" | "a");
            match (&mut result, rule.allow, is_all) {
                (_, true, true) if full_access(&rule.access) => result = Self::All,
                (_, false, true) if full_access(&rule.access) => result = Self::Only(Vec::new()),
                (Self::All, true, false) => {}
                (Self::Only(allowed), true, false) => allowed.push(Allowed::of(rule)?),
                _ => return Err(Unsupported::new(format!("device rule {rule:?}"))),
            }
        }
        if let Self::Only(allowed) = &mut result {
            let standard = STANDARD.map(|(_, major, minor)| ('c', Number::Is(major), Number::Is(minor), "rwm"));
            for (kind, major, minor, access) in standard.into_iter().chain(ALSO_ALLOWED) {
                allowed.push(Allowed { kind, major, minor, access: access.to_owned() });
            }
        }
        Ok(result)
    }
}

impl Allowed {
    fn of(rule: &spec::DeviceRule) -> Result<Self, Unsupported> {
        let unsupported = || Unsupported::new(format!("device rule {rule:?}"));
        let kind = match rule.kind.as_str() {
            "c" | "u" => 'c',
            "b" => 'b',
            _ => return Err(unsupported()),
        };
        let number = |number: Option<i64>| match number {
            None | Some(-1) => Ok(Number::All),
            Some(number) => u32::try_from(number).map(Number::Is).map_err(|_| unsupported()),
        };
        if rule.access.is_empty() || !rule.access.bytes().all(|access| b"rwm".contains(&access)) {
            return Err(unsupported());
        }
        Ok(Self { kind, major: number(rule.major)?, minor: number(rule.minor)?, access: rule.access.clone() })
    }
}

fn full_access(access: &str) -> bool {
    access.is_empty() || "rwm".chars().all(|one| access.contains(one))
}

/// The standard devices and those of the list, which wins.
pub(super) fn to_make(list: &[spec::Device]) -> Result<Vec<spec::Device>, Unsupported> {
    let mut devices: Vec<spec::Device> = STANDARD
        .iter()
        .filter(|(path, ..)| !list.iter().any(|device| device.path == *path))
        .map(|&(path, major, minor)| spec::Device {
            path: path.to_owned(),
            kind: "c".to_owned(),
            major,
            minor,
            file_mode: Some(0o666),
            uid: 0,
            gid: 0,
        })
        .collect();
    for device in list {
        if !matches!(device.kind.as_str(), "c" | "u" | "b" | "p") || !device.path.starts_with("/dev/") {
            return Err(Unsupported::new(format!("device {} of type {:?}", device.path, device.kind)));
        }
        devices.push(device.clone());
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(json: &str) -> Result<DeviceRules, String> {
        DeviceRules::of(&serde_json::from_str::<Vec<spec::DeviceRule>>(json).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn containerds_rules_leave_the_standard_devices_only() {
        let DeviceRules::Only(allowed) = rules(r#"[{ "allow": false, "access": "rwm" }]"#).unwrap() else { panic!() };
        assert_eq!(allowed.len(), STANDARD.len() + ALSO_ALLOWED.len());
    }

    #[test]
    fn a_privileged_container_may_use_all() {
        let all = r#"[{ "allow": false, "access": "rwm" }, { "allow": true, "access": "rwm" }]"#;
        assert_eq!(rules(all).unwrap(), DeviceRules::All);
    }

    #[test]
    fn an_allowed_device_is_kept_and_an_exception_is_refused() {
        let one =
            r#"[{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" }]"#;
        let DeviceRules::Only(allowed) = rules(one).unwrap() else { panic!() };
        assert!(allowed.contains(&Allowed { kind: 'c', major: Number::Is(10), minor: Number::Is(229), access: "rw".into() }));
        let except = r#"[{ "allow": true, "access": "rwm" }, { "allow": false, "type": "c", "major": 1, "access": "rwm" }]"#;
        assert!(rules(except).unwrap_err().contains("device rule"));
    }
}
