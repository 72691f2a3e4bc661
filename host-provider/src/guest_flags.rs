//! The flags that say what a component is told, and where it may send requests: those of `h8s-host`, and of whoever
//! else serves components.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;

use h8s_settings::ConfigErrors;

use crate::allow_list::AllowedHost;
use crate::component::ComponentSource;
use crate::configuration::{ConfigurationSource, SecretSource};
use crate::outgoing::OutgoingSource;

/// To be flattened into a program's flags.
#[derive(Clone, Debug, clap::Args)]
pub struct GuestFlags {
    /// An environment variable for the component, which sees no others. May be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// A setting for the component, which reads it through wasi:config. May be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub setting: Vec<(String, String)>,
    /// A secret for the component, which reads it as it does settings; PLACE is env:VARIABLE or file:PATH. May be given
    /// several times
    #[arg(long, value_name = "NAME=PLACE", value_parser = unread)]
    pub secret: Vec<UnreadSecret>,
    /// Hosts that the component may send requests to, comma-separated: api.example.com (HTTPS at port 443),
    /// *.example.com, host:8443, or http://localhost:3000 for cleartext. Unless given, none
    #[arg(long, env = "H8S_ALLOW_OUTGOING", value_name = "HOSTS", value_delimiter = ',')]
    pub allow_outgoing: Vec<AllowedHost>,
    /// Certificate authority (PEM) that signed the certificates of those hosts; the system's roots otherwise
    #[arg(long, env = "H8S_OUTGOING_CA", value_name = "FILE")]
    pub outgoing_ca: Option<PathBuf>,
}

impl GuestFlags {
    /// Tells what clap did not.
    pub fn check(&self, mistakes: &mut ConfigErrors) {
        for mistake in self.secret.iter().filter_map(|secret| secret.read().err()) {
            mistakes.push(format!("--secret {mistake}"));
        }
    }

    /// Gives `source` what these say.
    pub fn apply(&self, source: &mut ComponentSource) {
        // What is none has been told before.
        let secrets = self.secret.iter().filter_map(|secret| secret.read().ok()).collect();
        source.environment = self.env.clone();
        source.configuration = ConfigurationSource { settings: self.setting.clone(), secrets };
        source.outgoing =
            OutgoingSource { allowed: self.allow_outgoing.clone(), ca: self.outgoing_ca.clone() };
    }
}

/// A secret's name and place, not looked at yet: what is no place may be the secret itself, and a mistake that clap
/// finds would show it.
#[derive(Clone)]
pub struct UnreadSecret {
    name: String,
    place: String,
    may_be_named: bool,
}

impl UnreadSecret {
    /// One whose name is known to be one.
    pub(crate) fn new(name: &str, place: &str) -> Self {
        Self { name: name.to_owned(), place: place.to_owned(), may_be_named: true }
    }

    /// What it stands for, or what to write instead.
    pub(crate) fn read(&self) -> Result<(String, SecretSource), String> {
        let Self { name, place, may_be_named } = self;
        if name.is_empty() {
            return Err("needs a name: write NAME=env:VARIABLE or NAME=file:PATH".into());
        }
        match SecretSource::parse(place) {
            Ok(source) => Ok((name.clone(), source)),
            Err(mistake) if *may_be_named => Err(format!("{name}: {mistake}")),
            Err(mistake) => Err(mistake),
        }
    }
}

impl fmt::Debug for UnreadSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=[secret]", if self.may_be_named { &self.name } else { "[name]" })
    }
}

/// `NAME=PLACE`, whatever it is.
fn unread(text: &str) -> Result<UnreadSecret, Infallible> {
    // Without a name, none of it is shown.
    let (name, place) = text.split_once('=').unwrap_or(("", text));
    // And what looks like one may be the secret, where the rest is no place: Base64 ends in `=`.
    let may_be_named = place.starts_with("env:") || place.starts_with("file:");
    Ok(UnreadSecret { may_be_named, ..UnreadSecret::new(name, place) })
}

/// `NAME=VALUE`.
pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("write NAME=VALUE".into()),
    }
}
