//! The output of a process by lines, collected by threads, which continue while the test's runtime is blocked.

use std::io::{BufRead as _, BufReader, PipeReader};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Error,
}

#[derive(Debug)]
struct Line {
    stream: Stream,
    text: String,
}

/// The lines so far. The senders are the collecting threads: after they end, no line follows.
#[derive(Debug)]
pub(super) struct Output {
    lines: watch::Receiver<Vec<Line>>,
}

impl Output {
    pub(super) fn collect(pipes: [(Stream, PipeReader); 2]) -> Self {
        let (sender, lines) = watch::channel(Vec::new());
        for (stream, pipe) in pipes {
            let sender = sender.clone();
            thread::spawn(move || read_lines(stream, pipe, &sender));
        }
        Self { lines }
    }

    /// The first line with one of `texts`; `None` when the output ends without one.
    pub(super) async fn line_with(&mut self, texts: &[&str]) -> Option<String> {
        let matches = |line: &Line| texts.iter().any(|text| line.text.contains(text));
        let find = |lines: &Vec<Line>| lines.iter().position(matches);
        let lines = self.lines.wait_for(|lines| find(lines).is_some()).await.ok()?;
        find(&lines).map(|index| lines[index].text.clone())
    }

    pub(super) fn text(&self, of: &[Stream]) -> String {
        let lines = self.lines.borrow();
        lines
            .iter()
            .filter(|line| of.contains(&line.stream))
            .flat_map(|line| [line.text.as_str(), "\n"])
            .collect()
    }

    /// Blocks until the output of an ended process has been read, or `limit` elapses because a child of it still writes.
    pub(super) fn wait_for_end(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.lines.has_changed().is_ok() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn read_lines(stream: Stream, pipe: PipeReader, lines: &watch::Sender<Vec<Line>>) {
    let mut pipe = BufReader::new(pipe);
    let mut bytes = Vec::new();
    while pipe.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
        let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned();
        lines.send_modify(|lines| lines.push(Line { stream, text }));
        bytes.clear();
    }
}
