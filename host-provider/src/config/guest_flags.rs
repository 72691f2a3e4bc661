//! The flags for a component's settings, secrets and outgoing requests, shared by the programs that serve components.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;

use h8s_settings::ConfigErrors;

use crate::component::ComponentSource;
use crate::instance::configuration::{ConfigurationSource, SecretSource};
use crate::outgoing::OutgoingSource;
use crate::outgoing::allow_list::AllowedHost;

/// Flags to flatten into a program's flags.
#[derive(Clone, Debug, clap::Args)]
pub struct GuestFlags {
    /// Environment variable for the component, which sees no others. Repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// Setting for the component, which reads it through wasi:config. Repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub setting: Vec<(String, String)>,
    /// Secret for the component, which reads it like a setting; PLACE is env:VARIABLE or file:PATH. Repeatable
    #[arg(long, value_name = "NAME=PLACE", value_parser = unread)]
    pub secret: Vec<UnreadSecret>,
    /// Hosts that the component may send requests to, comma-separated: api.example.com (HTTPS at port 443),
    /// *.example.com, host:8443, or http://localhost:3000 for cleartext. Default: none
    #[arg(long, env = "H8S_ALLOW_OUTGOING", value_name = "HOSTS", value_delimiter = ',')]
    pub allow_outgoing: Vec<AllowedHost>,
    /// Certificate authority (PEM) of those hosts. Default: the system's roots
    #[arg(long, env = "H8S_OUTGOING_CA", value_name = "FILE")]
    pub outgoing_ca: Option<PathBuf>,
}

impl GuestFlags {
    /// Adds the errors that clap did not report.
    pub fn check(&self, mistakes: &mut ConfigErrors) {
        for mistake in self.secret.iter().filter_map(|secret| secret.read().err()) {
            mistakes.push(format!("--secret {mistake}"));
        }
    }

    /// Applies the flags to `source`.
    pub fn apply(&self, source: &mut ComponentSource) {
        // `check` has reported the invalid ones.
        let secrets = self.secret.iter().filter_map(|secret| secret.read().ok()).collect();
        source.environment = self.env.clone();
        source.configuration = ConfigurationSource { settings: self.setting.clone(), secrets };
        source.outgoing =
            OutgoingSource { allowed: self.allow_outgoing.clone(), ca: self.outgoing_ca.clone() };
    }
}

/// A secret's name and place, not parsed yet: an invalid place may be the secret itself, which an error of clap would
/// show.
#[derive(Clone)]
pub struct UnreadSecret {
    name: String,
    place: String,
    may_be_named: bool,
}

impl UnreadSecret {
    /// A secret whose name is certain.
    pub(crate) fn new(name: &str, place: &str) -> Self {
        Self { name: name.to_owned(), place: place.to_owned(), may_be_named: true }
    }

    /// Parses the place. An error names what to write instead.
    pub(crate) fn read(&self) -> Result<(String, SecretSource), String> {
        let Self { name, place, may_be_named } = self;
        if name.is_empty() {
            return Err("needs a name; write NAME=env:VARIABLE or NAME=file:PATH".into());
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

/// Splits `NAME=PLACE`. Never fails.
fn unread(text: &str) -> Result<UnreadSecret, Infallible> {
    // Without a name, none of it is shown.
    let (name, place) = text.split_once('=').unwrap_or(("", text));
    // If the rest is not a valid place, the name may be the secret: Base64 ends in `=`.
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
