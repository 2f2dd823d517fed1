//! Certificates and keys that guests give, as configurations of TLS. Sessions are not resumed: each would be kept, at nobody's
//! expense.

use std::sync::{Arc, LazyLock};

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Bytes of a list of certificates, and of a key: a chain is a tenth of that.
pub(crate) const MAX_PEM_BYTES: u32 = 32 << 10;

/// First byte of a certificate in DER: an ASN.1 sequence.
const SEQUENCE: u8 = 0x30;

/// What is wrong with a certificate or key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("the certificates cannot be read as PEM: {0}")]
    Chain(pem::Error),
    #[error("there is no certificate: give at least one in PEM")]
    NoChain,
    #[error("the key cannot be read as PEM: {0}")]
    Key(pem::Error),
    #[error("the certificates and the key cannot be used: {0}")]
    Server(rustls::Error),
    #[error("a certificate cannot be trusted as an authority: {0}")]
    Root(rustls::Error),
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));
    Arc::clone(&PROVIDER)
}

/// For a listener that shows `chain`, whose first certificate is that of `key`; both in PEM.
pub(crate) fn server_config(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, CertificateError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(CertificateError::Chain)?;
    if chain.is_empty() {
        return Err(CertificateError::NoChain);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(CertificateError::Key)?;
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config.and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(CertificateError::Server)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The certificates in `bytes`, which are PEM or the DER of one; none when they are neither.
pub(crate) fn roots(bytes: &[u8]) -> Vec<CertificateDer<'static>> {
    if bytes.first() == Some(&SEQUENCE) {
        return vec![CertificateDer::from(bytes.to_vec())];
    }
    CertificateDer::pem_slice_iter(bytes).filter_map(Result::ok).collect()
}

/// For a client that trusts `authorities`; none: those that Mozilla trusts.
pub(crate) fn client_config(authorities: Vec<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, CertificateError> {
    static OF_THE_WEB: LazyLock<Result<Arc<ClientConfig>, rustls::Error>> =
        LazyLock::new(|| trusting(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()));
    if authorities.is_empty() {
        return OF_THE_WEB.clone().map_err(CertificateError::Server);
    }
    let mut store = RootCertStore::empty();
    for authority in authorities {
        store.add(authority).map_err(CertificateError::Root)?;
    }
    trusting(store).map_err(CertificateError::Server)
}

fn trusting(store: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(store).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}
