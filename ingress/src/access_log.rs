//! The access log: one line on standard output for each exchange, when it has ended.
//!
//! A thread of its own writes, and no exchange waits for it: where the reader of standard output does not keep up,
//! lines are lost and counted.

mod record;

use std::io::{self, BufWriter, Write};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use http::Request;
use prometheus_client::metrics::counter::Counter;

pub(crate) use record::{Cause, Record};

use crate::forwarded::Peer;

/// Lines that may wait to be written: some megabytes, and a tenth of a second of all that a gateway can answer.
const WAITING_LINES: usize = 8192;
/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How the lines of the access log look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum AccessLog {
    /// There are none.
    #[default]
    Off,
    /// For people.
    Text,
    /// One JSON object each.
    Json,
}

/// What the writing thread is told.
#[derive(Debug)]
enum Told {
    Line(String),
    /// Say when everything before this is written.
    Flush(SyncSender<()>),
}

/// Where the lines go, from the first one on.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineWriter {
    thread: Arc<OnceLock<SyncSender<Told>>>,
    lost: Counter,
}

impl LineWriter {
    /// Counts in `lost` the lines that are not written.
    pub(crate) fn with(lost: Counter) -> Self {
        Self { thread: Arc::default(), lost }
    }

    /// A record of this request, which becomes a line when it is dropped.
    pub(crate) fn begin<B>(
        &self,
        format: AccessLog,
        request: &Request<B>,
        peer: &Peer,
    ) -> Option<Box<Record>> {
        (format != AccessLog::Off).then(|| Box::new(Record::new(self.clone(), format, request, peer)))
    }

    fn write(&self, line: String) {
        let thread = self.thread.get_or_init(|| start(self.lost.clone()));
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = thread.try_send(Told::Line(line))
        {
            self.lost.inc();
        }
    }

    /// Waits until what was logged so far is written, but not for ever. Blocks.
    pub(crate) fn flush(&self) {
        let Some(thread) = self.thread.get() else { return };
        let (written, wait) = sync_channel(1);
        if thread.try_send(Told::Flush(written)).is_ok() {
            let _ = wait.recv_timeout(LAST_LINES);
        }
    }
}

fn start(lost: Counter) -> SyncSender<Told> {
    let (sender, lines) = sync_channel(WAITING_LINES);
    let write = move || {
        if let Err(error) = write_all(&lines, BufWriter::new(io::stdout())) {
            tracing::warn!(%error, "the access log cannot be written any more");
            // What was already given away, and the line in hand.
            lost.inc_by(1 + lines.try_iter().count() as u64);
        }
    };
    if let Err(error) = thread::Builder::new().name("h8s-access-log".into()).spawn(write) {
        tracing::warn!(%error, "the access log has no thread, and no lines");
    }
    sender
}

/// Until nobody has a line to write any more. Lines that come together are written together.
fn write_all(lines: &Receiver<Told>, mut out: impl Write) -> io::Result<()> {
    loop {
        let told = match lines.try_recv() {
            Err(TryRecvError::Empty) => {
                out.flush()?;
                lines.recv().ok()
            }
            told => told.ok(),
        };
        match told {
            Some(Told::Line(line)) => out.write_all(line.as_bytes())?,
            Some(Told::Flush(written)) => {
                out.flush()?;
                let _ = written.send(());
            }
            None => return out.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes some lines, then nothing any more.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_in_order_and_a_flush_says_when() {
        let (sender, lines) = sync_channel(8);
        let (written, wait) = sync_channel(1);
        for told in [Told::Line("1\n".into()), Told::Line("2\n".into()), Told::Flush(written)] {
            sender.send(told).unwrap();
        }
        drop(sender);
        let mut out = Vec::new();

        write_all(&lines, &mut out).unwrap();

        wait.try_recv().unwrap();
        assert_eq!(out, b"1\n2\n");
    }

    #[test]
    fn a_full_disk_is_an_error_and_not_a_panic() {
        let (sender, lines) = sync_channel(8);
        (0..3).for_each(|_| sender.send(Told::Line("line\n".into())).unwrap());

        let error = write_all(&lines, Full(2)).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn what_nobody_writes_is_counted_and_holds_nobody_up() {
        let (sender, _lines) = sync_channel(1);
        let writer = LineWriter::default();
        writer.thread.set(sender).unwrap();

        (0..5).for_each(|_| writer.write("line\n".into()));

        assert_eq!(writer.lost.get(), 4);
    }
}
