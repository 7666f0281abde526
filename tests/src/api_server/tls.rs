//! The server's certificate, which is its own authority, and connections of clients that trust it.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

/// A certificate for an address.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    der: CertificateDer<'static>,
    /// The certificate as PEM, as in kubeconfigs.
    pub(super) pem: String,
}

impl Certificate {
    /// Makes a certificate, and the acceptor of connections with it.
    pub(super) fn make(address: SocketAddr) -> io::Result<(Self, TlsAcceptor)> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let params = CertificateParams::new([address.ip().to_string()]).map_err(io::Error::other)?;
        let made = params.self_signed(&key).map_err(io::Error::other)?;
        let (der, pem) = (made.der().clone(), made.pem());
        let secret = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![der.clone()], secret.into())
            .map_err(io::Error::other)?;
        Ok((Self { der, pem }, TlsAcceptor::from(Arc::new(config))))
    }

    /// Connects to the server with this certificate.
    pub(super) fn connect(&self, address: SocketAddr) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).map_err(io::Error::other)?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = address.ip().into();
        let client = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(client, TcpStream::connect(address)?))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
