//! Why `h8s dev` does not serve, and whose affair that is.

use h8s_host_provider::HostError;
use h8s_ingress::BuildError;
use h8s_nats::{ConnectError, StartError};
use h8s_settings::Exit;

use crate::source::SourceError;

/// Each displays as one sentence, or several lines with one each.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Arguments that make no sense, or files that are not there.
    #[error(transparent)]
    Mistaken(#[from] Exit),
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A component that cannot be served, or a machine that runs none.
    #[error("{0}")]
    Host(#[from] HostError),
    /// The port is taken, above all.
    #[error("{0}; free it, or choose another port with --listen 127.0.0.1:PORT (port 0 takes any)")]
    Listen(#[source] BuildError),
    #[error("{0}; start a NATS server there, or leave out --nats-url to have one started")]
    Connect(#[from] ConnectError),
    #[error("the embedded broker does not start: {0}")]
    Broker(#[from] h8s_broker::StartError),
    #[error("NATS is there, but of no use: {0}")]
    Start(#[from] StartError),
    #[error("no runtime can be started: {0}")]
    Runtime(#[source] std::io::Error),
}

impl Failure {
    /// 2 for what the user can put right in the command, 1 for everything else.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Host(HostError::Engine(_)) | Self::Broker(_) | Self::Start(_) | Self::Runtime(_) => 1,
            Self::Mistaken(_)
            | Self::Source(_)
            | Self::Host(HostError::Load(_) | HostError::Conflicts(_))
            | Self::Listen(_)
            | Self::Connect(_) => 2,
        }
    }
}
