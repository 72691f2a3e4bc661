//! A Python with pinned packages, for clients and servers that are not ours: `nats-py`, `httpbin`, `grpcio`, ….

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::process::{Process, program};
use crate::test_tools::{self, run};

/// What scripts can import besides the standard library, as pip is told: the newest releases when this was written.
const PACKAGES: [&str; 7] = [
    "nats-py==2.16.0",
    "websockets==17.4",
    "grpcio==1.85.1",
    "httpbin==0.10.4",
    // What httpbin's own documentation runs it with: it streams, and takes chunked bodies.
    "gunicorn==27.0.1",
    "requests==2.34.2",
    "pytest==9.2.0",
];

/// Unpacks the one archive in the directory that is the argument.
const UNPACK: &str = "
import pathlib, sys, tarfile
[archive] = pathlib.Path(sys.argv[1]).glob('*.tar.gz')
tarfile.open(archive).extractall(sys.argv[1], filter='data')
archive.unlink()
";

/// A virtual environment that is kept in `target/test-tools`.
#[derive(Debug)]
pub struct Python {
    interpreter: PathBuf,
}

/// The environment, made when it is first needed.
///
/// # Panics
///
/// When there is no `python3`, or pip cannot install the packages; with what they say.
pub fn python() -> &'static Python {
    static PYTHON: OnceLock<Python> = OnceLock::new();
    PYTHON.get_or_init(|| Python { interpreter: environment() })
}

impl Python {
    /// Starts a script: the path of a file, or the source itself. Its output is not held back.
    ///
    /// # Panics
    ///
    /// When there is no tokio runtime.
    pub fn start_script(&self, script: &str, arguments: &[&str]) -> Process {
        let mut command = program(&self.interpreter);
        // `-I` keeps the user's own packages and variables out; `-u` writes at once.
        command.args(["-I", "-u"]);
        if script.ends_with(".py") && !script.contains('\n') {
            command.arg(script);
        } else {
            command.args(["-c", script]);
        }
        Process::start(command.args(arguments))
    }

    /// Starts a program that one of the packages brings: `gunicorn`, say.
    ///
    /// # Panics
    ///
    /// When there is no tokio runtime.
    pub fn start_module(&self, module: &str, arguments: &[&str]) -> Process {
        let mut command = program(&self.interpreter);
        Process::start(command.args(["-I", "-u", "-m", module]).args(arguments))
    }

    /// The source distribution of a package, `requests==2.34.2`, which has what is not installed: its tests. The
    /// directory is kept in `target/test-tools`, and only read.
    ///
    /// # Panics
    ///
    /// When pip cannot fetch it; with what it says.
    pub fn sources(&self, package: &str) -> PathBuf {
        let (name, _) = package.split_once("==").unwrap_or_else(|| panic!("{package:?} names no version"));
        let home = test_tools::environment(
            &format!("{name}-sources"),
            &[package],
            |_| true,
            |home| self.unpack(package, name, home),
        )
        .unwrap_or_else(|why| panic!("The tests need the sources of {package} from a package index: {why}"));
        home.join(package.replace("==", "-"))
    }

    fn unpack(&self, package: &str, name: &str, home: &Path) -> Result<(), String> {
        let pip = ["-I", "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--no-deps"];
        let mut download = Command::new(&self.interpreter);
        run(download.args(pip).args(["--no-binary", name, package, "--dest"]).arg(home))?;
        run(Command::new(&self.interpreter).args(["-I", "-c", UNPACK]).arg(home)).map(drop)
    }

    /// Runs a script to its end; what it wrote to standard output.
    ///
    /// # Panics
    ///
    /// When it fails, or does not end within the deadline; with all that it wrote.
    pub async fn run_script(&self, script: &str, arguments: &[&str]) -> String {
        let mut process = self.start_script(script, arguments);
        let status = process.wait_for_exit().await;
        assert!(status.success(), "the script failed ({status}). It wrote:\n{}", process.output());
        process.stdout()
    }
}

fn environment() -> PathBuf {
    let interpreter = |home: &Path| home.join("bin/python");
    // It may have been upgraded away since.
    let is_usable = |home: &Path| run(Command::new(interpreter(home)).args(["-I", "-c", ""])).is_ok();
    let home = test_tools::environment("python", &PACKAGES, is_usable, |home| install(home, &PACKAGES));
    interpreter(&home.unwrap_or_else(|why| {
        panic!(
            "The tests need python3 with venv and pip, and a package index with {PACKAGES:?}: {why}\n\
             Install python3 and python3-venv, or let pip reach an index."
        )
    }))
}

/// Makes a virtual environment with these packages; what its interpreter imports is below `lib`.
pub(crate) fn install(home: &Path, packages: &[&str]) -> Result<(), String> {
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home))?;
    let pip = ["-I", "-m", "pip", "install", "--disable-pip-version-check", "--quiet"];
    run(Command::new(home.join("bin/python")).args(pip).args(packages)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::over_both_buses;

    /// Answers one request.
    const RESPONDER: &str = r#"
import asyncio, sys, nats

async def main():
    client = await nats.connect(sys.argv[1])
    done = asyncio.Event()
    async def answer(message):
        await message.respond(b"hello " + message.data)
        done.set()
    await client.subscribe("greet", cb=answer)
    await client.flush()
    print("ready")
    await done.wait()
    await client.drain()

asyncio.run(main())
"#;

    over_both_buses! {
        async fn an_independent_client_answers(bus) {
            let mut responder = python().start_script(RESPONDER, &[&bus.url()]);
            responder.wait_for_line("ready").await;
            let client = async_nats::connect(bus.url()).await.unwrap();

            let answer = crate::soon(client.request("greet", "you".into())).await.unwrap();

            assert_eq!(answer.payload, "hello you");
            assert!(responder.wait_for_exit().await.success());
        }
    }

    #[tokio::test]
    async fn a_script_has_arguments_and_a_result() {
        let said = python().run_script("import sys; print(sys.argv[1:])", &["a", "b c"]).await;

        assert_eq!(said, "['a', 'b c']\n");
    }

    #[test]
    fn sources_have_what_is_not_installed() {
        let sources = python().sources("requests==2.34.2");

        assert!(sources.join("tests/test_requests.py").is_file());
    }

    #[tokio::test]
    #[should_panic(expected = "no such luck")]
    async fn a_script_that_fails_panics_with_what_it_wrote() {
        python().run_script("raise SystemExit('no such luck')", &[]).await;
    }
}
