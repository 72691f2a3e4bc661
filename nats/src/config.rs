//! How to reach NATS, as every program's flags say it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::ConnectOptions;
use h8s_settings::{ConfigErrors, Secret};
use h8s_wire::Subjects;

/// The flags of every program that speaks to NATS. Flatten them into the program's own.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "NATS")]
pub struct NatsFlags {
    /// Servers, separated by commas: nats://, tls://, ws:// or wss://
    #[arg(long, env = "NATS_URL", value_name = "URL[,URL…]", default_value = "nats://127.0.0.1:4222")]
    pub nats_url: String,
    /// Credentials file (JWT and nkey seed), as `nsc generate creds` writes it
    #[arg(long, env = "NATS_CREDS_PATH", value_name = "FILE")]
    pub nats_creds: Option<PathBuf>,
    /// File that holds an nkey seed
    #[arg(long, env = "NATS_NKEY_PATH", value_name = "FILE")]
    pub nats_nkey: Option<PathBuf>,
    /// User name, together with --nats-password
    #[arg(long, env = "NATS_USER", value_name = "NAME")]
    pub nats_user: Option<String>,
    /// Password, together with --nats-user
    #[arg(long, env = "NATS_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub nats_password: Option<Secret>,
    /// Authentication token
    #[arg(long, env = "NATS_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub nats_token: Option<Secret>,
    /// Certificate authority (PEM) that signed the server's certificate; the system's roots otherwise
    #[arg(long, env = "NATS_CA", value_name = "FILE")]
    pub nats_ca: Option<PathBuf>,
    /// Client certificate (PEM), together with --nats-key
    #[arg(long, env = "NATS_CERT", value_name = "FILE")]
    pub nats_cert: Option<PathBuf>,
    /// Key of the client certificate (PEM)
    #[arg(long, env = "NATS_KEY", value_name = "FILE")]
    pub nats_key: Option<PathBuf>,
    /// First token of every subject; both sides must agree on it
    #[arg(long, env = "H8S_SUBJECT_PREFIX", value_name = "TOKEN", default_value = h8s_wire::PREFIX)]
    pub subject_prefix: String,
}

/// Where NATS is and who we are there.
#[derive(Clone, Debug, Default)]
pub struct NatsConfig {
    /// At least one; tried in order, later ones found through the cluster.
    pub servers: Vec<async_nats::ServerAddr>,
    /// One way of saying who we are, or none.
    pub identity: Identity,
    /// PEM file; the system's roots when absent.
    pub ca: Option<PathBuf>,
    /// PEM files of a client certificate and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The subjects both sides agree on.
    pub subjects: Subjects,
    /// Shown by the server's monitoring, e.g. `h8sd`.
    pub name: String,
}

/// Who we are to the server.
#[derive(Clone, Debug, Default)]
pub enum Identity {
    /// Nobody in particular.
    #[default]
    Anonymous,
    /// JWT and seed in one file, read again at every reconnect.
    Credentials(PathBuf),
    /// An nkey seed.
    Nkey(Secret),
    /// User and password.
    User(String, Secret),
    /// A token.
    Token(Secret),
}

impl NatsConfig {
    /// One server, anonymously: for tests and embedded brokers.
    ///
    /// # Errors
    /// A sentence saying why the URL is none.
    pub fn anonymous(url: &str) -> Result<Self, String> {
        Ok(Self { servers: servers(url)?, ..Self::default() })
    }

    /// The servers without what they may be told in the URL.
    pub(crate) fn shown_servers(&self) -> String {
        let shown = |server: &async_nats::ServerAddr| {
            format!("{}://{}:{}", server.scheme(), server.host(), server.port())
        };
        self.servers.iter().map(shown).collect::<Vec<_>>().join(", ")
    }
}

impl NatsFlags {
    /// Checks everything that can be checked without connecting, and pushes what is wrong to `mistakes`.
    pub fn config(&self, name: &str, mistakes: &mut ConfigErrors) -> NatsConfig {
        let mut take = |result: Result<(), String>| result.unwrap_or_else(|mistake| mistakes.push(mistake));
        let mut config =
            NatsConfig { name: name.to_owned(), ca: self.nats_ca.clone(), ..NatsConfig::default() };
        take(servers(&self.nats_url).map(|servers| config.servers = servers));
        take(self.identity().map(|identity| config.identity = identity));
        take(self.certificate().map(|certificate| config.certificate = certificate));
        take(self.subjects().map(|subjects| config.subjects = subjects));
        if let Some(ca) = &self.nats_ca {
            take(readable("--nats-ca", ca));
        }
        config
    }

    /// The names of those that differ.
    pub fn differing(&self, other: &Self) -> Vec<&'static str> {
        let same = |one: &Option<Secret>, other: &Option<Secret>| {
            one.as_ref().map(Secret::expose) == other.as_ref().map(Secret::expose)
        };
        let differs = [
            ("nats-url", self.nats_url != other.nats_url),
            ("nats-creds", self.nats_creds != other.nats_creds),
            ("nats-nkey", self.nats_nkey != other.nats_nkey),
            ("nats-user", self.nats_user != other.nats_user),
            ("nats-password", !same(&self.nats_password, &other.nats_password)),
            ("nats-token", !same(&self.nats_token, &other.nats_token)),
            ("nats-ca", self.nats_ca != other.nats_ca),
            ("nats-cert", self.nats_cert != other.nats_cert),
            ("nats-key", self.nats_key != other.nats_key),
            ("subject-prefix", self.subject_prefix != other.subject_prefix),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }

    fn identity(&self) -> Result<Identity, String> {
        let mut given = Vec::new();
        if let Some(path) = &self.nats_creds {
            readable("--nats-creds", path)?;
            given.push(Identity::Credentials(path.clone()));
        }
        if let Some(path) = &self.nats_nkey {
            given.push(Identity::Nkey(read_seed(path)?));
        }
        match (&self.nats_user, &self.nats_password) {
            (Some(user), Some(password)) => given.push(Identity::User(user.clone(), password.clone())),
            (None, None) => {}
            _ => return Err("--nats-user and --nats-password go together: give both or neither".into()),
        }
        if let Some(token) = &self.nats_token {
            given.push(Identity::Token(token.clone()));
        }
        if given.len() > 1 {
            return Err(
                "more than one of --nats-creds, --nats-nkey, --nats-user and --nats-token is given: \
                        keep one"
                    .into(),
            );
        }
        Ok(given.pop().unwrap_or_default())
    }

    fn certificate(&self) -> Result<Option<(PathBuf, PathBuf)>, String> {
        match (&self.nats_cert, &self.nats_key) {
            (Some(certificate), Some(key)) => {
                readable("--nats-cert", certificate)?;
                readable("--nats-key", key)?;
                Ok(Some((certificate.clone(), key.clone())))
            }
            (None, None) => Ok(None),
            _ => Err("--nats-cert and --nats-key go together: give both or neither".into()),
        }
    }

    fn subjects(&self) -> Result<Subjects, String> {
        let prefix = &self.subject_prefix;
        Subjects::new(prefix).map_err(|error| format!("--subject-prefix {prefix:?}: {error}"))
    }
}

fn servers(list: &str) -> Result<Vec<async_nats::ServerAddr>, String> {
    let urls: Vec<&str> = list.split(',').map(str::trim).filter(|url| !url.is_empty()).collect();
    if urls.is_empty() {
        return Err("--nats-url names no server: give nats://HOST:PORT".into());
    }
    urls.into_iter().map(server).collect()
}

fn server(url: &str) -> Result<async_nats::ServerAddr, String> {
    const KNOWN: [&str; 4] = ["nats", "tls", "ws", "wss"];
    let scheme = url.split_once("://").map_or("nats", |(scheme, _)| scheme);
    if !KNOWN.contains(&scheme) {
        return Err(format!("--nats-url {url:?}: scheme {scheme:?} is none of nats, tls, ws and wss"));
    }
    url.parse().map_err(|error| format!("--nats-url {url:?} is no URL of a NATS server: {error}"))
}

fn readable(flag: &str, path: &Path) -> Result<(), String> {
    std::fs::File::open(path).map(drop).map_err(|error| format!("{flag} {}: {error}", path.display()))
}

/// The seed is the one line that starts with `S`; `nk -gen` writes nothing else, people add comments.
fn read_seed(path: &Path) -> Result<Secret, String> {
    let mistake = |what: String| format!("--nats-nkey {}: {what}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| mistake(error.to_string()))?;
    let seed = text.lines().map(str::trim).find(|line| line.starts_with('S'));
    seed.and_then(|seed| seed.parse().ok()).ok_or_else(|| mistake("there is no nkey seed in it".into()))
}

/// How long a connection attempt may take before the next server is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A silent server is noticed after two missed answers.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// Waiting commands (publishes mostly) before a publisher waits for the socket.
const SENDER_CAPACITY: usize = 4096;
/// Messages that may wait for our demultiplexer, which never blocks: reached only when this process gets no CPU.
const SUBSCRIPTION_CAPACITY: usize = 256 * 1024;

impl NatsConfig {
    /// Options that both connections of a process share.
    ///
    /// # Errors
    /// A credentials file that cannot be read.
    pub(crate) async fn options(&self) -> std::io::Result<ConnectOptions> {
        let mut options = ConnectOptions::new()
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .client_capacity(SENDER_CAPACITY)
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .reconnect_delay_callback(reconnect_delay);
        options = match &self.identity {
            Identity::Anonymous => options,
            Identity::Credentials(path) => options.credentials_file(path).await?,
            Identity::Nkey(seed) => options.nkey(seed.expose().to_owned()),
            Identity::User(user, password) => {
                options.user_and_password(user.clone(), password.expose().to_owned())
            }
            Identity::Token(token) => options.token(token.expose().to_owned()),
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
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        nats: NatsFlags,
    }

    fn config(flags: &[&str]) -> Result<NatsConfig, String> {
        let flags = Flags::try_parse_from(std::iter::once(&"test").chain(flags)).unwrap();
        let mut mistakes = ConfigErrors::new();
        let config = flags.nats.config("test", &mut mistakes);
        mistakes.into_result().map(|()| config).map_err(|exit| exit.to_string())
    }

    #[test]
    fn several_servers() {
        let config = config(&["--nats-url", "nats://a:1, tls://b:2,wss://c"]).unwrap();
        assert_eq!(config.servers.len(), 3);
    }

    #[test]
    fn every_mistake_is_named() {
        let mistakes = config(&[
            "--nats-url=http://a",
            "--nats-creds=/nowhere/creds",
            "--nats-cert=/nowhere/cert",
            "--nats-ca=/nowhere/ca",
            "--subject-prefix=a b",
        ])
        .unwrap_err();
        for part in ["http", "--nats-creds /nowhere/creds", "--nats-cert and --nats-key", "--nats-ca", "a b"]
        {
            assert!(mistakes.contains(part), "{part}: {mistakes}");
        }
    }

    #[test]
    fn identities_exclude_each_other() {
        assert!(config(&["--nats-user=a"]).unwrap_err().contains("go together"));
        let both = config(&["--nats-user=a", "--nats-password=b", "--nats-token=c"]).unwrap_err();
        assert!(both.contains("keep one"), "{both}");
    }

    #[test]
    fn delays_grow_and_stay_bounded() {
        assert!(reconnect_delay(1) < Duration::from_millis(63));
        assert!(reconnect_delay(usize::MAX) <= Duration::from_millis(2500));
    }
}
