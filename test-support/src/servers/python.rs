//! Python with pinned packages, for third-party clients and servers: `nats-py`, `httpbin`, `grpcio`, ….

use std::path::{Path, PathBuf};

use super::process::{Process, program};
use crate::tools;

/// A virtual environment in `target/test-tools`.
#[derive(Debug)]
pub struct Python {
    interpreter: &'static Path,
}

/// The environment, made when it is first needed.
///
/// # Panics
///
/// When there is no `python3`, or pip cannot install the packages; with their output.
pub fn python() -> Python {
    Python { interpreter: tools::python::interpreter().unwrap_or_else(|why| panic!("{why}")) }
}

impl Python {
    /// Starts a script: the path of a file, or the source itself. Its output is not buffered.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start_script(&self, script: &str, arguments: &[&str]) -> Process {
        let mut command = program(self.interpreter);
        // `-I` ignores the user's packages and variables; `-u` writes at once.
        command.args(["-I", "-u"]);
        if script.ends_with(".py") && !script.contains('\n') {
            command.arg(script);
        } else {
            command.args(["-c", script]);
        }
        Process::start(command.args(arguments))
    }

    /// Starts a module of one of the packages, such as `gunicorn`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start_module(&self, module: &str, arguments: &[&str]) -> Process {
        let mut command = program(self.interpreter);
        Process::start(command.args(["-I", "-u", "-m", module]).args(arguments))
    }

    /// The source distribution of a package, such as `requests==2.34.2`, with the tests that are not installed. The
    /// directory is shared: read only.
    ///
    /// # Panics
    ///
    /// When pip cannot fetch it; with its output.
    pub fn sources(&self, package: &str) -> PathBuf {
        tools::python::sources(package).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Runs a script to its end; returns its standard output.
    ///
    /// # Panics
    ///
    /// When it fails, or exceeds the deadline; with all its output.
    pub async fn run_script(&self, script: &str, arguments: &[&str]) -> String {
        let mut process = self.start_script(script, arguments);
        let status = process.wait_for_exit().await;
        assert!(status.success(), "the script failed ({status}). It wrote:\n{}", process.output());
        process.stdout()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tool, needs, over_both_buses};

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
            needs!(Tool::Python);
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
        needs!(Tool::Python);

        let output = python().run_script("import sys; print(sys.argv[1:])", &["a", "b c"]).await;

        assert_eq!(output, "['a', 'b c']\n");
    }

    #[test]
    fn sources_have_what_is_not_installed() {
        needs!(Tool::PythonSources("requests==2.34.2"));

        let sources = python().sources("requests==2.34.2");

        assert!(sources.join("tests/test_requests.py").is_file());
    }

    #[tokio::test]
    async fn a_script_that_fails_panics_with_its_output() {
        needs!(Tool::Python);

        let script = async { python().run_script("raise SystemExit('expected failure')", &[]).await };
        let panic = tokio::spawn(script).await.unwrap_err().into_panic();

        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains("expected failure"), "{message}");
    }
}
