//! A program that runs beside the test.

mod output;

use std::ffi::OsStr;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command as AsyncCommand};

use crate::deadline::DEADLINE;
use output::{Output, Stream};

/// How long the last words of a killed process may take to arrive, when they are to be printed.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A running program. Killed on drop; what it wrote is printed then if the test is failing.
///
/// ```no_run
/// # use h8s_test_support::{Process, process::program};
/// # async fn example() {
/// let mut gateway = Process::start(program("target/debug/h8sd").args(["--listen", "127.0.0.1:0"]));
/// let line = gateway.wait_for_line("listening on").await;
/// gateway.terminate();
/// assert!(gateway.wait_for_exit().await.success(), "{line}");
/// # }
/// ```
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Output,
}

/// A command that the environment of whoever runs the tests does not configure: our own variables and `RUST_LOG` are
/// removed. The path is often `env!("CARGO_BIN_EXE_…")`.
pub fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("H8S") || text.starts_with("NATS_") || text == "RUST_LOG" {
            command.env_remove(&name);
        }
    }
    command
}

impl Process {
    /// Starts `command` with no input, in a tokio runtime. The command is used up, though it is only borrowed so that
    /// the methods that make one can be chained.
    ///
    /// # Panics
    ///
    /// When it cannot be run at all.
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let (out_reader, out) = std::io::pipe().expect("the system has a pipe left");
        let (err_reader, err) = std::io::pipe().expect("the system has a pipe left");
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let mut running = AsyncCommand::from(std::mem::replace(command, Command::new(&name)));
        let child =
            running.kill_on_drop(true).spawn().unwrap_or_else(|error| panic!("{name} does not run: {error}"));
        // Its ends of the pipes close with it, so that the output ends when the process has ended.
        drop(running);
        let output = Output::collect([(Stream::Out, out_reader), (Stream::Error, err_reader)]);
        Self { name, child, output }
    }

    /// The process id, as long as it has not been waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The first line on standard output or standard error, already written or still to come, that contains `text`.
    ///
    /// # Panics
    ///
    /// When there is none within [`DEADLINE`], or the process ends without it; with all that it wrote.
    pub async fn wait_for_line(&mut self, text: &str) -> String {
        self.first_line(&[text]).await
    }

    /// The first line that contains one of `texts`. Panics as `wait_for_line` does.
    pub(crate) async fn first_line(&mut self, texts: &[&str]) -> String {
        match tokio::time::timeout(DEADLINE, self.output.line_with(texts)).await {
            Ok(Some(line)) => line,
            Ok(None) => panic!("{} ended without {texts:?}. It wrote:\n{}", self.name, self.output()),
            Err(_) => {
                panic!("{} did not say {texts:?} in {DEADLINE:?}. It wrote:\n{}", self.name, self.output())
            }
        }
    }

    /// All it has written so far, standard output and standard error in the order of arrival.
    pub fn output(&self) -> String {
        self.output.text(&[Stream::Out, Stream::Error])
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.output.text(&[Stream::Out])
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.output.text(&[Stream::Error])
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by its name: `STOP` freezes the process, `CONT` lets it go on.
    ///
    /// # Panics
    ///
    /// When the process has already been waited for, or there is no such signal.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().unwrap_or_else(|| panic!("{} has ended", self.name));
        // The shell's own `kill`: a safe way to send a signal without a dependency. The child is not reaped before
        // it is waited for, so the id is still its own.
        let sent =
            Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &id.to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{} cannot be sent SIG{name}", self.name);
    }

    /// Ends it at once (SIGKILL) and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap_or_else(|error| panic!("{} cannot be killed: {error}", self.name));
    }

    /// How it ended.
    ///
    /// # Panics
    ///
    /// When it still runs after [`DEADLINE`]; with all that it wrote.
    pub async fn wait_for_exit(&mut self) -> ExitStatus {
        let Ok(status) = tokio::time::timeout(DEADLINE, self.child.wait()).await else {
            panic!("{} still runs after {DEADLINE:?}. It wrote:\n{}", self.name, self.output());
        };
        self.output.wait_for_end(LAST_WORDS);
        status.unwrap_or_else(|error| panic!("{} cannot be waited for: {error}", self.name))
    }

    /// Whether it runs still.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // It may have ended by itself, which is as good.
            let _ = self.child.start_kill();
            self.output.wait_for_end(LAST_WORDS);
            eprintln!("---- {} wrote:\n{}----", self.name, self.output());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::start(program("sh").args(["-c", script]))
    }

    #[tokio::test]
    async fn a_line_is_waited_for_on_both_outputs() {
        let mut process = shell("echo one; echo two is here >&2; exec sleep 100");

        assert_eq!(process.wait_for_line("two").await, "two is here");
        process.wait_for_line("one").await;
        assert_eq!((process.stdout(), process.stderr()), ("one\n".into(), "two is here\n".into()));
    }

    #[tokio::test]
    async fn a_terminated_process_says_how_it_ended() {
        let mut process = shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
        process.wait_for_line("ready").await;

        process.terminate();

        assert_eq!(process.wait_for_exit().await.code(), Some(7));
        assert!(process.output().ends_with("bye\n"));
    }

    #[tokio::test]
    async fn a_killed_process_is_gone() {
        let mut process = shell("exec sleep 100");
        assert!(process.is_running());

        process.kill().await;

        assert!(!process.is_running());
        assert_eq!(process.wait_for_exit().await.code(), None);
    }

    #[tokio::test]
    #[should_panic(expected = "ended without [\"ready\"]. It wrote:\nno luck")]
    async fn a_line_that_cannot_come_any_more_panics_with_the_output() {
        shell("echo no luck").wait_for_line("ready").await;
    }

    #[test]
    fn a_program_does_not_inherit_our_variables() {
        assert!(program("x").get_envs().all(|(_, value)| value.is_none()));
    }
}
