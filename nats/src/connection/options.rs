//! How to connect to NATS.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::{ConnectOptions as ClientOptions, ServerAddr};
use h8s_wire::Subjects;
use secrecy::{ExposeSecret, SecretString};

use crate::error::BoxError;

/// How to connect to NATS: servers, credentials, TLS, and the prefix of every subject.
///
/// ```
/// # fn main() -> Result<(), h8s_nats::InvalidOptions> {
/// use h8s_nats::ConnectOptions;
///
/// let options = ConnectOptions::new("tls://nats-1:4222,tls://nats-2:4222")?
///     .user("orders", "s3cret")
///     .ca("/etc/nats/ca.pem")
///     .name("orders");
/// # Ok(())
/// # }
/// ```
///
/// [`user`](Self::user), [`token`](Self::token), [`credentials_file`](Self::credentials_file) and [`nkey`](Self::nkey)
/// replace each other.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    servers: Vec<ServerAddr>,
    identity: Identity,
    ca: Option<PathBuf>,
    certificate: Option<(PathBuf, PathBuf)>,
    subjects: Subjects,
    name: String,
}

#[derive(Clone, Debug)]
enum Identity {
    Anonymous,
    Credentials(PathBuf),
    Nkey(SecretString),
    User(String, SecretString),
    Token(SecretString),
}

/// An option that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOptions {
    /// The list of servers is empty.
    #[error("no NATS server given: use nats://HOST:PORT")]
    NoServer,
    /// The URL's scheme is not one of NATS.
    #[error("invalid NATS server URL {url:?}: unknown scheme {scheme:?}; use nats, tls, ws or wss")]
    Scheme {
        /// The URL as given.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// The URL cannot be parsed.
    #[error("invalid NATS server URL {url:?}: {source}")]
    Url {
        /// The URL as given.
        url: String,
        /// Why.
        source: BoxError,
    },
    /// The subject prefix is not a valid NATS token.
    #[error("invalid subject prefix {prefix:?}: {source}")]
    SubjectPrefix {
        /// The prefix as given.
        prefix: String,
        /// Why.
        source: BoxError,
    },
}

impl ConnectOptions {
    /// Options for one or more servers, separated by commas: `nats://`, `tls://`, `ws://` or `wss://`. The client tries
    /// them in order and learns further servers from the cluster.
    ///
    /// Defaults: no credentials, the system's root certificates, the subject prefix `h8s`.
    ///
    /// # Errors
    /// [`InvalidOptions`] if the list is empty or a URL is not valid.
    pub fn new(servers: &str) -> Result<Self, InvalidOptions> {
        let urls: Vec<&str> = servers.split(',').map(str::trim).filter(|url| !url.is_empty()).collect();
        if urls.is_empty() {
            return Err(InvalidOptions::NoServer);
        }
        let servers = urls.into_iter().map(server).collect::<Result<_, _>>()?;
        Ok(Self {
            servers,
            identity: Identity::Anonymous,
            ca: None,
            certificate: None,
            subjects: Subjects::default(),
            name: String::new(),
        })
    }

    /// Authenticates with a user name and a password.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>, password: impl Into<SecretString>) -> Self {
        self.identity = Identity::User(name.into(), password.into());
        self
    }

    /// Authenticates with a token.
    #[must_use]
    pub fn token(mut self, token: impl Into<SecretString>) -> Self {
        self.identity = Identity::Token(token.into());
        self
    }

    /// Authenticates with a credentials file (JWT and nkey seed, as written by `nsc generate creds`). The file is read
    /// when connecting.
    #[must_use]
    pub fn credentials_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.identity = Identity::Credentials(path.into());
        self
    }

    /// Authenticates with an nkey seed.
    #[must_use]
    pub fn nkey(mut self, seed: impl Into<SecretString>) -> Self {
        self.identity = Identity::Nkey(seed.into());
        self
    }

    /// Authenticates with the user name and password, or the token, in the first server's URL, if it has any.
    #[must_use]
    pub fn url_credentials(self) -> Self {
        let part = |part: Option<&str>| part.filter(|text| !text.is_empty()).map(str::to_owned);
        let first = self.servers.first();
        let name = part(first.and_then(ServerAddr::username));
        let password = first.and_then(ServerAddr::password).map(str::to_owned);
        match (name, password) {
            (Some(name), Some(password)) if !password.is_empty() => self.user(name, password),
            (Some(token), None) => self.token(token),
            _ => self,
        }
    }

    /// Trusts only servers whose certificate was signed by a certificate authority in this PEM file. Default: the
    /// system's roots.
    #[must_use]
    pub fn ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca = Some(path.into());
        self
    }

    /// Presents a client certificate: the PEM files of the certificate and of its key.
    #[must_use]
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.certificate = Some((certificate.into(), key.into()));
        self
    }

    /// The first token of every subject. Both sides must use the same. Default `h8s`.
    ///
    /// # Errors
    /// [`InvalidOptions::SubjectPrefix`] if it is not a valid token.
    pub fn subject_prefix(mut self, prefix: &str) -> Result<Self, InvalidOptions> {
        self.subjects = Subjects::new(prefix).map_err(|error| InvalidOptions::SubjectPrefix {
            prefix: prefix.to_owned(),
            source: error.into(),
        })?;
        Ok(self)
    }

    /// The program's name, shown by the server's monitoring. Default: empty.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The subjects with the configured prefix.
    pub fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// The servers' URLs, without credentials.
    pub fn servers(&self) -> Vec<String> {
        let shown =
            |server: &ServerAddr| format!("{}://{}:{}", server.scheme(), server.host(), server.port());
        self.servers.iter().map(shown).collect()
    }

    pub(crate) fn program(&self) -> &str {
        &self.name
    }

    pub(crate) fn addresses(&self) -> &[ServerAddr] {
        &self.servers
    }
}

/// One server on this machine: `nats://127.0.0.1:4222`.
impl Default for ConnectOptions {
    fn default() -> Self {
        Self::new("nats://127.0.0.1:4222").expect("the default URL is valid")
    }
}

fn server(url: &str) -> Result<ServerAddr, InvalidOptions> {
    const KNOWN: [&str; 4] = ["nats", "tls", "ws", "wss"];
    let scheme = url.split_once("://").map_or("nats", |(scheme, _)| scheme);
    if !KNOWN.contains(&scheme) {
        return Err(InvalidOptions::Scheme { url: url.to_owned(), scheme: scheme.to_owned() });
    }
    url.parse()
        .map_err(|error: std::io::Error| InvalidOptions::Url { url: url.to_owned(), source: error.into() })
}

/// How long a connection attempt may take before the next server is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A silent server is noticed after two missed answers.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// Waiting commands (publishes mostly) before a publisher waits for the socket.
const SENDER_CAPACITY: usize = 4096;
/// Messages that may wait for our demultiplexer, which never blocks: reached only when this process gets no CPU.
const SUBSCRIPTION_CAPACITY: usize = 256 * 1024;

impl ConnectOptions {
    /// Options that both connections of a process share.
    ///
    /// # Errors
    /// A credentials file that cannot be read.
    pub(crate) async fn client_options(&self) -> std::io::Result<ClientOptions> {
        let mut options = ClientOptions::new()
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .client_capacity(SENDER_CAPACITY)
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .reconnect_delay_callback(reconnect_delay);
        options = match &self.identity {
            Identity::Anonymous => options,
            Identity::Credentials(path) => options.credentials_file(path).await?,
            Identity::Nkey(seed) => options.nkey(seed.expose_secret().to_owned()),
            Identity::User(user, password) => {
                options.user_and_password(user.clone(), password.expose_secret().to_owned())
            }
            Identity::Token(token) => options.token(token.expose_secret().to_owned()),
        };
        if let Some(ca) = &self.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let Some((certificate, key)) = &self.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(options)
    }
}

/// 50 ms, doubling up to 2 s, and up to a quarter more so that many processes do not come back at once.
fn reconnect_delay(attempts: usize) -> Duration {
    let exponent = u32::try_from(attempts.saturating_sub(1).min(6)).unwrap_or(6);
    let delay = Duration::from_millis(50 << exponent).min(Duration::from_secs(2));
    delay + delay.mul_f64(rand::random::<f64>() / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_servers() {
        let options = ConnectOptions::new("nats://a:1, tls://b:2,wss://user:pw@c").unwrap();

        assert_eq!(options.servers(), ["nats://a:1", "tls://b:2", "wss://c:443"]);
    }

    #[test]
    fn an_unusable_url_or_prefix_is_an_error_that_names_it() {
        let error = |servers: &str| ConnectOptions::new(servers).unwrap_err().to_string();

        assert!(error("http://a").contains("unknown scheme \"http\""), "{}", error("http://a"));
        assert!(error(" , ").contains("nats://HOST:PORT"), "{}", error(" , "));
        let prefix = ConnectOptions::new("a").unwrap().subject_prefix("a b").unwrap_err().to_string();
        assert!(prefix.contains("a b"), "{prefix}");
    }

    #[test]
    fn a_url_may_hold_credentials() {
        let identity = |url: &str| ConnectOptions::new(url).unwrap().url_credentials().identity;

        assert!(matches!(identity("nats://gate:s3cret@a"), Identity::User(user, _) if user == "gate"));
        assert!(matches!(identity("nats://s3cret@a"), Identity::Token(_)));
        assert!(matches!(identity("nats://a"), Identity::Anonymous));
    }

    #[test]
    fn secrets_are_not_printed() {
        let options = ConnectOptions::new("nats://a").unwrap().user("gate", "hunter2");

        assert!(!format!("{options:?}").contains("hunter2"), "{options:?}");
    }

    #[test]
    fn delays_grow_and_stay_bounded() {
        assert!(reconnect_delay(1) < Duration::from_millis(63));
        assert!(reconnect_delay(usize::MAX) <= Duration::from_millis(2500));
    }
}
