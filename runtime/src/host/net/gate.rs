//! The gate between guests and the network: nothing passes that the class was not granted.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use perigee_spec::{ConnectHost, Network};

/// Addresses that are kept of one name. Services with more are resolved again.
const MAX_ADDRESSES: usize = 256;

/// What the gate did not let through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error("denied: the class {class:?} may not listen on {address}: add it to its permissions.network.listen")]
    Listen { class: String, address: SocketAddr },
    #[error("denied: the class {class:?} may not connect to {address}: add it to its permissions.network.connect")]
    Connect { class: String, address: SocketAddr },
    #[error("denied: the class {class:?} may not resolve {name:?}: add \"{name}:PORT\" to its permissions.network.connect")]
    Resolve { class: String, name: String },
}

/// What a guest has resolved: a rule by name covers the addresses that the name had.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    resolved: HashMap<String, Vec<IpAddr>>,
}

impl Gate {
    pub(crate) fn listen(rules: &Network, class: &str, address: SocketAddr) -> Result<(), Denied> {
        if rules.listen.iter().any(|rule| rule.covers(address)) {
            return Ok(());
        }
        Err(Denied::Listen { class: class.to_owned(), address })
    }

    pub(crate) fn connect(&self, rules: &Network, class: &str, address: SocketAddr) -> Result<(), Denied> {
        let ip = address.ip().to_canonical();
        let by_name = |name: &String| self.resolved.get(name).is_some_and(|addresses| addresses.contains(&ip));
        let covered = rules.connect.iter().any(|rule| match &rule.host {
            ConnectHost::Name(name) => rule.port.covers(address.port()) && by_name(name),
            _ => rule.covers_address(address),
        });
        if covered { Ok(()) } else { Err(Denied::Connect { class: class.to_owned(), address }) }
    }

    /// Resolving tells the outside which name was asked for, so it takes a permission of its own.
    pub(crate) fn resolve(rules: &Network, class: &str, name: &str) -> Result<(), Denied> {
        if rules.connect.iter().any(|rule| rule.covers_name(name)) {
            return Ok(());
        }
        Err(Denied::Resolve { class: class.to_owned(), name: name.to_owned() })
    }

    /// Remembers what a granted name resolved to.
    pub(crate) fn resolved(&mut self, rules: &Network, name: &str, addresses: &[SocketAddr]) {
        let own = rules.connect.iter().find_map(|rule| match &rule.host {
            ConnectHost::Name(own) if rule.covers_name(name) => Some(own),
            _ => None,
        });
        let Some(own) = own else { return };
        let known = self.resolved.entry(own.clone()).or_default();
        for address in addresses {
            let ip = address.ip().to_canonical();
            if !known.contains(&ip) {
                known.push(ip);
            }
        }
        let surplus = known.len().saturating_sub(MAX_ADDRESSES);
        known.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(connect: &[&str]) -> Network {
        Network { listen: Vec::new(), connect: connect.iter().map(|rule| rule.parse().unwrap()).collect() }
    }

    #[test]
    fn nothing_is_reached_without_a_rule() {
        let none = Network::default();
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        assert!(Gate::default().connect(&none, "web", address).is_err());
        assert!(Gate::listen(&none, "web", address).is_err());
        assert!(Gate::resolve(&none, "web", "example").is_err());
    }

    #[test]
    fn a_name_covers_what_it_resolved_to_on_its_port_only() {
        let rules = rules(&["db.svc:5432"]);
        let mut gate = Gate::default();
        let address: SocketAddr = "10.0.0.7:5432".parse().unwrap();
        assert!(gate.connect(&rules, "web", address).is_err(), "not resolved yet");
        gate.resolved(&rules, "DB.svc.", &[address]);
        assert_eq!(gate.connect(&rules, "web", address), Ok(()));
        assert!(gate.connect(&rules, "web", "10.0.0.7:22".parse().unwrap()).is_err());
        assert!(gate.connect(&rules, "web", "10.0.0.8:5432".parse().unwrap()).is_err());
    }

    #[test]
    fn a_refusal_names_class_address_and_remedy() {
        let error = Gate::default().connect(&Network::default(), "web", "10.0.0.7:22".parse().unwrap()).unwrap_err().to_string();
        for part in ["web", "10.0.0.7:22", "permissions.network.connect"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
