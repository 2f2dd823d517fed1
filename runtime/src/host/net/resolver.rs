//! Names to addresses, by the container's `/etc/resolv.conf` and `/etc/hosts`.
//!
//! Not by the C library: a static one loads plugins that the image's `nsswitch.conf` names, out of the image.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use tokio::sync::OnceCell;

/// Bytes of `host:port` that are looked at: a name has 253 at the most.
const MAX_NAME_BYTES: usize = 300;
/// Addresses of one name that are passed on.
const MAX_ADDRESSES: usize = 256;

/// Made at the first use: most apps never resolve.
#[derive(Default)]
pub(crate) struct Resolver(OnceCell<TokioResolver>);

impl Resolver {
    /// Resolves `host:port`.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Vec<SocketAddr>, String> {
        if name.len() > MAX_NAME_BYTES {
            return Err(format!("a name of {} bytes is none: {MAX_NAME_BYTES} with its port are the most", name.len()));
        }
        if let Ok(address) = name.parse() {
            return Ok(vec![address]);
        }
        let (host, port) = split(name)?;
        let resolver = self.0.get_or_try_init(|| async { resolver() }).await?;
        let found = resolver.lookup_ip(host).await.map_err(|error| format!("{host} was not resolved: {error}"))?;
        Ok(found.iter().take(MAX_ADDRESSES).map(|ip| SocketAddr::new(ip, port)).collect())
    }
}

/// Host and port of `host:port`.
pub(crate) fn split(name: &str) -> Result<(&str, u16), String> {
    let parts = name.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    parts.filter(|(host, _)| !host.is_empty()).ok_or_else(|| format!("{name:?} is no host:port"))
}

/// `host:port`, of which an IPv6 address is in brackets.
pub(crate) fn join(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The host of `host:port` if that is a name, which needs a permission; none for an address, which resolves to itself.
pub(crate) fn name_of(name: &str) -> Option<&str> {
    let (host, _) = split(name).ok()?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_err().then_some(host)
}

fn resolver() -> Result<TokioResolver, String> {
    let builder = TokioResolver::builder_tokio().map_err(|error| format!("/etc/resolv.conf cannot be used: {error}"))?;
    builder.build().map_err(|error| format!("/etc/resolv.conf cannot be used: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_need_a_permission_to_resolve() {
        assert_eq!(name_of("db.svc:5432"), Some("db.svc"));
        assert_eq!(name_of("10.0.0.1:80"), None);
        assert_eq!(name_of("[::1]:80"), None);
        assert_eq!(name_of(&join("::1", 80)), None);
        assert_eq!(name_of(&join("db.svc", 80)), Some("db.svc"));
    }

    #[tokio::test]
    async fn addresses_resolve_to_themselves_without_a_resolver() {
        let resolver = Resolver::default();
        assert_eq!(resolver.resolve("[::1]:80").await, Ok(vec!["[::1]:80".parse().unwrap()]));
        let longest = format!("{}:80", "a".repeat(MAX_NAME_BYTES));
        assert!(resolver.resolve(&longest).await.unwrap_err().contains("303 bytes"));
        assert!(resolver.resolve("nothing").await.unwrap_err().contains("host:port"));
        assert!(!resolver.0.initialized());
    }
}
