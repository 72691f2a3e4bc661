//! The programs of the workspace, and their flags.

use clap::{Command, CommandFactory as _};

/// A program whose flags are documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Program {
    H8s,
    H8sd,
    H8sHost,
    H8srd,
}

impl Program {
    pub(crate) const ALL: [Self; 4] = [Self::H8s, Self::H8sd, Self::H8sHost, Self::H8srd];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::H8s => "h8s",
            Self::H8sd => "h8sd",
            Self::H8sHost => "h8s-host",
            Self::H8srd => "h8srd",
        }
    }

    /// Its definition: the one that `--help` prints.
    pub(crate) fn command(self) -> Command {
        match self {
            Self::H8s => crate::Program::command(),
            Self::H8sd => h8s_ingress::Flags::command(),
            Self::H8sHost => h8s_host::Flags::command(),
            Self::H8srd => h8s_reverse::Flags::command(),
        }
    }
}
