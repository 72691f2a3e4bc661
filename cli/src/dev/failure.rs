//! The errors of `h8s dev`, and their exit codes.

use h8s_host::HostError;
use h8s_ingress::BuildError;
use h8s_nats::{ConnectError, StartError};
use h8s_settings::Exit;

use super::source::SourceError;

/// Displays as one sentence, or as one sentence per line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Invalid arguments, or missing files.
    #[error(transparent)]
    Arguments(#[from] Exit),
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A component that cannot be served, or an engine that cannot start.
    #[error("{0}")]
    Host(#[from] HostError),
    /// Usually a port in use.
    #[error(
        "{0}; stop the program that uses it, or choose another port with --listen 127.0.0.1:PORT (0: any free port)"
    )]
    Listen(#[source] BuildError),
    #[error("{0}; start a NATS server there, or omit --nats-url to use the embedded broker")]
    Connect(#[from] ConnectError),
    #[error("failed to start the embedded broker: {0}")]
    Broker(#[from] h8s_broker::StartError),
    #[error("connected to NATS, but failed to start: {0}")]
    Start(#[from] StartError),
    #[error("failed to start the runtime: {0}")]
    Runtime(#[source] std::io::Error),
}

impl Failure {
    /// 2 for errors that a change to the command corrects, 1 for others.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Host(HostError::Engine(_)) | Self::Broker(_) | Self::Start(_) | Self::Runtime(_) => 1,
            Self::Arguments(_)
            | Self::Source(_)
            | Self::Host(HostError::Load(_) | HostError::Conflicts(_))
            | Self::Listen(_)
            | Self::Connect(_) => 2,
        }
    }
}
