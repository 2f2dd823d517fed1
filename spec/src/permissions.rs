//! What an actor may touch. The default is nothing.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{ClassName, SpecError};

/// Everything that an actor of a class may touch. What is absent is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Permissions {
    /// Classes that it may spawn. Its own name lets it spawn functions of its own module as further actors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spawn: Vec<ClassName>,
    /// Addresses that it may listen on and connect to.
    #[serde(skip_serializing_if = "Network::is_empty")]
    pub network: Network,
    /// Folders that it sees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filesystem: Vec<Folder>,
    /// Whether it may compile modules that it has as bytes, and spawn their functions under its own permissions.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compile: bool,
    /// Whether it may make configurations, under which what it spawns has less than it has itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub configure: bool,
}

/// Network addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Network {
    /// Addresses that it may listen on, such as "0.0.0.0:8080" (any address of the pod, port 8080).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<ListenRule>,
    /// Where it may connect to, such as "db.shop.svc:5432", "10.0.0.0/8:443" or "*:443".
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect: Vec<ConnectRule>,
}

impl Network {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One folder that an actor sees, under the same path as in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Folder {
    /// Absolute path, without `.` and `..`.
    pub path: String,
    /// Whether it may only read there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

impl Folder {
    pub(crate) fn validate(&self, path: &str) -> Result<(), SpecError> {
        let plain = self.path.starts_with('/')
            && !self.path.contains('\0')
            && !self.path.split('/').any(|part| matches!(part, "." | ".."));
        if plain {
            return Ok(());
        }
        Err(SpecError::field(
            format!("{path}.path"),
            format_args!("{:?} is no absolute path without `.` and `..`: write one such as \"/data\"", self.path),
        ))
    }
}

/// A port, or any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// Every port.
    Any,
    /// This one.
    Number(u16),
}

impl Port {
    /// Whether a connection or listener on `port` is covered.
    #[must_use]
    pub fn covers(self, port: u16) -> bool {
        matches!(self, Self::Any) || self == Self::Number(port)
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "*" => Some(Self::Any),
            number if number.bytes().all(|b| b.is_ascii_digit()) => number.parse().ok().map(Self::Number),
            _ => None,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Number(port) => write!(f, "{port}"),
        }
    }
}

/// An address that may be listened on: `0.0.0.0:8080`, `[::1]:53`, `127.0.0.1:*`, `*:*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenRule {
    /// The local address; `None` (`*`) and the unspecified ones (`0.0.0.0`, `[::]`) cover every address.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: Port,
}

impl ListenRule {
    /// Whether binding to `address` is covered.
    #[must_use]
    pub fn covers(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        self.port.covers(address.port()) && self.address.is_none_or(|own| own.is_unspecified() || own.to_canonical() == ip)
    }
}

/// Where an actor may connect to: `db.shop.svc:5432`, `10.0.0.0/8:443`, `[fd00::]/8:443`, `1.2.3.4:*`, `*:443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRule {
    /// The peer.
    pub host: ConnectHost,
    /// The peer's port.
    pub port: Port,
}

/// The host of a [`ConnectRule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectHost {
    /// Every host (`*`); also lets the actor resolve any name.
    Any,
    /// A range of addresses; a single address is a range of one.
    Range(IpNet),
    /// A DNS name in lower case, which the actor may then also resolve.
    Name(String),
}

impl ConnectRule {
    /// Whether connecting to `address` is covered by this rule's range. A name covers what it resolves to, which only
    /// the caller knows: for a name this is false.
    #[must_use]
    pub fn covers_address(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        self.port.covers(address.port())
            && match &self.host {
                ConnectHost::Any => true,
                ConnectHost::Range(range) => range.contains(&ip),
                ConnectHost::Name(_) => false,
            }
    }

    /// Whether resolving `name` is covered.
    #[must_use]
    pub fn covers_name(&self, name: &str) -> bool {
        match &self.host {
            ConnectHost::Any => true,
            ConnectHost::Range(_) => false,
            ConnectHost::Name(own) => own.eq_ignore_ascii_case(name.trim_end_matches('.')),
        }
    }
}

/// Splits `host:port` at the last colon; brackets around an IPv6 address are taken off.
fn split_host_port(text: &str) -> Option<(&str, Option<&str>, Port)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = Port::parse(port)?;
    if let Some(rest) = host.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        let prefix = match after {
            "" => None,
            after => Some(after.strip_prefix('/')?),
        };
        return Some((address, prefix, port));
    }
    match host.split_once('/') {
        Some((address, prefix)) => Some((address, Some(prefix), port)),
        None => Some((host, None, port)),
    }
}

impl FromStr for ListenRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no address to listen on: write address:port, such as \"0.0.0.0:8080\" or \"[::1]:*\"");
        let Some((host, None, port)) = split_host_port(text) else { return Err(bad()) };
        let address = match host {
            "*" => None,
            host => Some(host.parse().map_err(|_| bad())?),
        };
        Ok(Self { address, port })
    }
}

impl FromStr for ConnectRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "{text:?} is nothing to connect to: write host:port, such as \"db.shop.svc:5432\", \"10.0.0.0/8:443\" or \"*:443\""
            )
        };
        let (host, prefix, port) = split_host_port(text).ok_or_else(bad)?;
        let host = match (host, prefix) {
            ("*", None) => ConnectHost::Any,
            (address, Some(prefix)) => ConnectHost::Range(
                IpNet::new(address.parse().map_err(|_| bad())?, prefix.parse().map_err(|_| bad())?).map_err(|_| bad())?.trunc(),
            ),
            (host, None) => match host.parse::<IpAddr>() {
                Ok(address) => ConnectHost::Range(IpNet::from(address)),
                Err(_) if is_dns_name(host) => ConnectHost::Name(host.to_ascii_lowercase()),
                Err(_) => return Err(bad()),
            },
        };
        Ok(Self { host, port })
    }
}

/// RFC 1123 names, without a trailing dot; one whose last label is a number is a mistyped address.
fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let numeric_end = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= 253 && !numeric_end && text.split('.').all(label)
}

impl fmt::Display for ListenRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            None => write!(f, "*:{}", self.port),
            Some(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

impl fmt::Display for ConnectRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (&self.host, self.port);
        match host {
            ConnectHost::Any => write!(f, "*:{port}"),
            ConnectHost::Name(name) => write!(f, "{name}:{port}"),
            ConnectHost::Range(range) => {
                match range.addr() {
                    IpAddr::V4(address) => write!(f, "{address}")?,
                    IpAddr::V6(address) => write!(f, "[{address}]")?,
                }
                if range.prefix_len() != range.max_prefix_len() {
                    write!(f, "/{}", range.prefix_len())?;
                }
                write!(f, ":{port}")
            }
        }
    }
}

macro_rules! as_text {
    ($type:ty, $name:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": "^.+:([0-9]{1,5}|[*])$", "maxLength": 270 })
            }
        }
    };
}
as_text!(ListenRule, "ListenRule");
as_text!(ConnectRule, "ConnectRule");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn listen(text: &str) -> ListenRule {
        text.parse().unwrap()
    }
    fn connect(text: &str) -> ConnectRule {
        text.parse().unwrap()
    }
    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn unspecified_listen_address_covers_every_address_of_the_pod() {
        assert!(listen("0.0.0.0:8080").covers(address("0.0.0.0:8080")));
        assert!(listen("0.0.0.0:8080").covers(address("127.0.0.1:8080")));
        assert!(listen("*:*").covers(address("[::1]:1")));
        assert!(!listen("0.0.0.0:8080").covers(address("0.0.0.0:8081")));
        assert!(!listen("127.0.0.1:8080").covers(address("0.0.0.0:8080")));
    }

    #[test]
    fn connect_ranges_cover_their_addresses_only() {
        let rule = connect("10.0.0.0/8:443");
        assert!(rule.covers_address(address("10.9.8.7:443")));
        assert!(rule.covers_address(address("[::ffff:10.9.8.7]:443")), "an IPv4 address in IPv6 clothes is the same host");
        assert!(!rule.covers_address(address("10.9.8.7:80")));
        assert!(!rule.covers_address(address("11.0.0.1:443")));
        assert!(connect("[fd00::]/8:*").covers_address(address("[fd12::1]:9")));
        assert!(!connect("db.shop.svc:5432").covers_address(address("1.2.3.4:5432")));
    }

    #[test]
    fn names_are_compared_without_case_and_final_dot() {
        assert!(connect("db.Shop.svc:5432").covers_name("DB.shop.svc."));
        assert!(!connect("db.shop.svc:5432").covers_name("db.shop"));
        assert!(connect("*:443").covers_name("anything.example"));
        assert!(!connect("10.0.0.0/8:443").covers_name("anything.example"));
    }

    #[test]
    fn what_is_no_rule_is_refused_with_an_example() {
        for text in [
            "",
            "8080",
            ":8080",
            "localhost:8080",
            "0.0.0.0",
            "0.0.0.0:65536",
            "0.0.0.0:",
            "0.0.0.0:+1",
            "10.0.0.0/8:80",
            "::1:80:x",
        ] {
            assert!(text.parse::<ListenRule>().unwrap_err().contains("0.0.0.0:8080"), "{text}");
        }
        for text in [
            "",
            "example.com",
            ":1",
            "a b:1",
            "-a:1",
            "1.2.3:4",
            "10.0.0.0/33:1",
            "10.0.0.0/x:1",
            "ex ample:1",
            "a..b:1",
            "*/8:1",
            "[::1:1",
        ] {
            assert!(text.parse::<ConnectRule>().unwrap_err().contains("db.shop.svc:5432"), "{text}");
        }
    }

    fn port() -> impl Strategy<Value = Port> {
        prop_oneof![Just(Port::Any), any::<u16>().prop_map(Port::Number)]
    }

    proptest! {
        #[test]
        fn listen_rules_survive_printing(address in any::<Option<IpAddr>>(), port in port()) {
            let rule = ListenRule { address, port };
            prop_assert_eq!(rule.to_string().parse(), Ok(rule));
        }

        #[test]
        fn connect_ranges_survive_printing(address: IpAddr, bits in 0u8..=32, port in port()) {
            let rule = ConnectRule { host: ConnectHost::Range(IpNet::new(address, bits).unwrap().trunc()), port };
            prop_assert_eq!(rule.to_string().parse(), Ok(rule));
        }

        #[test]
        fn no_text_panics(text: String) {
            drop(text.parse::<ListenRule>());
            drop(text.parse::<ConnectRule>());
        }
    }
}
