//! The flags of every program that connects to NATS.

use std::path::{Path, PathBuf};

use h8s_nats::ConnectOptions;

use crate::{Mistakes, Secret};

/// How to connect to NATS. Flatten these into the program's own flags.
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

/// A credential that the flags name.
enum Credential {
    File(PathBuf),
    Nkey(Secret),
    User(String, Secret),
    Token(Secret),
}

impl NatsFlags {
    /// The options to connect with; `name` is the program's. Checks everything that can be checked without connecting,
    /// and adds each problem to `mistakes`.
    pub fn config(&self, name: &str, mistakes: &mut Mistakes) -> ConnectOptions {
        let mut options = match ConnectOptions::new(&self.nats_url) {
            Ok(options) => options,
            Err(error) => {
                mistakes.push(format!("--nats-url: {error}"));
                ConnectOptions::default()
            }
        };
        options = options.name(name);
        match self.credential() {
            Ok(None) => {}
            Ok(Some(Credential::File(path))) => options = options.credentials_file(path),
            Ok(Some(Credential::Nkey(seed))) => options = options.nkey(seed.expose()),
            Ok(Some(Credential::User(user, password))) => options = options.user(user, password.expose()),
            Ok(Some(Credential::Token(token))) => options = options.token(token.expose()),
            Err(mistake) => mistakes.push(mistake),
        }
        match self.certificate() {
            Ok(None) => {}
            Ok(Some((certificate, key))) => options = options.client_certificate(certificate, key),
            Err(mistake) => mistakes.push(mistake),
        }
        match options.clone().subject_prefix(&self.subject_prefix) {
            Ok(prefixed) => options = prefixed,
            Err(error) => mistakes.push(format!("--subject-prefix: {error}")),
        }
        if let Some(ca) = &self.nats_ca {
            if let Err(mistake) = readable("--nats-ca", ca) {
                mistakes.push(mistake);
            }
            options = options.ca(ca);
        }
        options
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

    fn credential(&self) -> Result<Option<Credential>, String> {
        let mut given = Vec::new();
        if let Some(path) = &self.nats_creds {
            readable("--nats-creds", path)?;
            given.push(Credential::File(path.clone()));
        }
        if let Some(path) = &self.nats_nkey {
            given.push(Credential::Nkey(read_seed(path)?));
        }
        match (&self.nats_user, &self.nats_password) {
            (Some(user), Some(password)) => given.push(Credential::User(user.clone(), password.clone())),
            (None, None) => {}
            _ => return Err("--nats-user and --nats-password go together: give both or neither".into()),
        }
        if let Some(token) = &self.nats_token {
            given.push(Credential::Token(token.clone()));
        }
        if given.len() > 1 {
            return Err(
                "more than one of --nats-creds, --nats-nkey, --nats-user and --nats-token is given: keep one"
                    .into(),
            );
        }
        Ok(given.pop())
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
}

fn readable(flag: &str, path: &Path) -> Result<(), String> {
    std::fs::File::open(path).map(drop).map_err(|error| format!("{flag} {}: {error}", path.display()))
}

/// The seed is the one line that starts with `S`; `nk -gen` writes nothing else, people add comments.
fn read_seed(path: &Path) -> Result<Secret, String> {
    let mistake = |what: String| format!("--nats-nkey {}: {what}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| mistake(error.to_string()))?;
    let seed = text.lines().map(str::trim).find(|line| line.starts_with('S'));
    seed.and_then(|seed| seed.parse().ok()).ok_or_else(|| mistake("the file contains no nkey seed".into()))
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

    fn config(flags: &[&str]) -> Result<ConnectOptions, String> {
        let flags = Flags::try_parse_from(std::iter::once(&"test").chain(flags)).unwrap();
        let mut mistakes = Mistakes::new();
        let config = flags.nats.config("test", &mut mistakes);
        mistakes.into_result().map(|()| config).map_err(|exit| exit.to_string())
    }

    #[test]
    fn several_servers() {
        let config = config(&["--nats-url", "nats://a:1, tls://b:2,wss://c"]).unwrap();
        assert_eq!(config.servers().len(), 3);
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
    fn credentials_exclude_each_other() {
        assert!(config(&["--nats-user=a"]).unwrap_err().contains("go together"));
        let both = config(&["--nats-user=a", "--nats-password=b", "--nats-token=c"]).unwrap_err();
        assert!(both.contains("keep one"), "{both}");
    }
}
