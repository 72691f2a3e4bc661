//! A program that runs beside the test.

mod output;

use std::ffi::OsStr;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command as AsyncCommand};

use crate::deadline::DEADLINE;
use output::{Output, Stream};

/// How long to wait for the remaining output of a process that has ended.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(500);

/// A running program. Killed on drop; its output is printed then if the test is failing.
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

/// A command without the variables that configure the workspace's programs (`H8S…`, `NATS_…`, `RUST_LOG`). The path is
/// often `env!("CARGO_BIN_EXE_…")`.
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
    /// Starts `command` without input, in a tokio runtime. The command is consumed; it is borrowed so that builder
    /// calls can be chained.
    ///
    /// # Panics
    ///
    /// When it cannot be run.
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let (out_reader, out) = std::io::pipe().expect("the system has a pipe left");
        let (err_reader, err) = std::io::pipe().expect("the system has a pipe left");
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let mut running = AsyncCommand::from(std::mem::replace(command, Command::new(&name)));
        let child = running
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be run: {error}"));
        // Closes this process's write ends, so that the output ends with the child.
        drop(running);
        let output = Output::collect([(Stream::Out, out_reader), (Stream::Error, err_reader)]);
        Self { name, child, output }
    }

    /// The process id, until the process has been waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The first line of standard output or standard error, past or future, that contains `text`.
    ///
    /// # Panics
    ///
    /// When there is none within [`DEADLINE`], or the process ends without one; with its output.
    pub async fn wait_for_line(&mut self, text: &str) -> String {
        self.first_line(&[text]).await
    }

    /// The first line that contains one of `texts`. Panics as `wait_for_line` does.
    pub(crate) async fn first_line(&mut self, texts: &[&str]) -> String {
        match tokio::time::timeout(DEADLINE, self.output.line_with(texts)).await {
            Ok(Some(line)) => line,
            Ok(None) => panic!("{} ended without {texts:?}. It wrote:\n{}", self.name, self.output()),
            Err(_) => {
                panic!(
                    "{} did not write {texts:?} within {DEADLINE:?}. It wrote:\n{}",
                    self.name,
                    self.output()
                )
            }
        }
    }

    /// Its output so far, standard output and standard error in order of arrival.
    pub fn output(&self) -> String {
        self.output.text(&[Stream::Out, Stream::Error])
    }

    /// Its standard output so far.
    pub fn stdout(&self) -> String {
        self.output.text(&[Stream::Out])
    }

    /// Its standard error so far.
    pub fn stderr(&self) -> String {
        self.output.text(&[Stream::Error])
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by its name: `STOP` freezes the process, `CONT` resumes it.
    ///
    /// # Panics
    ///
    /// When the process has already been waited for, or there is no such signal.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().unwrap_or_else(|| panic!("{} has ended", self.name));
        // The shell's `kill` needs no dependency and no unsafe code. The id is still the child's: it is not reaped
        // before it is waited for.
        let sent =
            Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &id.to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{} cannot be sent SIG{name}", self.name);
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap_or_else(|error| panic!("{} cannot be killed: {error}", self.name));
    }

    /// Waits for its end; returns its exit status.
    ///
    /// # Panics
    ///
    /// When it is still running after [`DEADLINE`]; with its output.
    pub async fn wait_for_exit(&mut self) -> ExitStatus {
        let Ok(status) = tokio::time::timeout(DEADLINE, self.child.wait()).await else {
            panic!("{} is still running after {DEADLINE:?}. It wrote:\n{}", self.name, self.output());
        };
        self.output.wait_for_end(OUTPUT_TIMEOUT);
        status.unwrap_or_else(|error| panic!("{} cannot be waited for: {error}", self.name))
    }

    /// Whether it is running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // It may have ended already.
            let _ = self.child.start_kill();
            self.output.wait_for_end(OUTPUT_TIMEOUT);
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
    async fn a_terminated_process_has_an_exit_status() {
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
    #[should_panic(expected = "ended without [\"ready\"]. It wrote:\nexpected failure")]
    async fn a_process_that_ends_without_the_line_panics_with_its_output() {
        shell("echo expected failure").wait_for_line("ready").await;
    }

    #[test]
    fn a_program_does_not_inherit_h8s_variables() {
        assert!(program("x").get_envs().all(|(_, value)| value.is_none()));
    }
}
