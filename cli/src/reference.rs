//! Documentation generated from the flags' definitions: shell completions, man pages, and docs/reference/flags.md.

#[cfg(test)]
mod flags_page;
mod groups;
mod programs;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap_complete::Shell;

use self::groups::grouped;
use self::programs::Program;

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  h8s completions bash > /etc/bash_completion.d/h8s
  h8s completions zsh --program h8sd > ~/.zfunc/_h8sd";

/// Print a shell's completion script for one of the programs
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "h8s completions", version, after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionFlags {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
    /// The program to complete
    #[arg(long, value_name = "PROGRAM", default_value = "h8s", value_enum)]
    program: Program,
}

/// Write the man pages of h8s, h8sd, h8s-host and h8srd
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "h8s man", version)]
pub(crate) struct ManFlags {
    /// Write the pages into this directory, which is created if missing
    #[arg(long, value_name = "DIRECTORY")]
    out: PathBuf,
}

/// Runs `h8s completions`.
pub(crate) fn completions(argv: Vec<OsString>) -> ExitCode {
    let flags = h8s_settings::load::<CompletionFlags>(argv).unwrap_or_else(|exit| exit.exit()).flags;
    let mut command = grouped(flags.program);
    // In memory first: the generator panics if standard output is closed.
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut command, flags.program.name(), &mut script);
    match io::stdout().write_all(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write the completion script: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs `h8s man`.
pub(crate) fn man(argv: Vec<OsString>) -> ExitCode {
    let ManFlags { out } = h8s_settings::load::<ManFlags>(argv).unwrap_or_else(|exit| exit.exit()).flags;
    match write_pages(&out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("--out {}: cannot write the man pages: {error}", out.display());
            ExitCode::FAILURE
        }
    }
}

fn write_pages(out: &Path) -> io::Result<()> {
    std::fs::create_dir_all(out)?;
    Program::ALL.iter().try_for_each(|program| clap_mangen::generate_to(grouped(*program), out))
}
