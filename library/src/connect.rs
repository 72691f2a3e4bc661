//! Reaching NATS.

use h8s_nats::{Bus, ConnectError, ConnectOptions};

/// Connects to NATS at a URL: `nats://`, `tls://`, `ws://` or `wss://`, with a user and a password or a token before an
/// `@`, several servers separated by commas. [`ConnectOptions`] with [`Bus::connect`] is every other way: credentials
/// files, nkeys, certificates, another subject prefix.
///
/// The first connection must succeed. Later losses are repaired by reconnecting, for ever.
///
/// # Errors
/// See [`ConnectError`]; each names the servers.
pub async fn connect(url: &str) -> Result<Bus, ConnectError> {
    Bus::connect(ConnectOptions::new(url)?.url_credentials()).await
}
