//! The access log: one line on standard output for each exchange, when it has ended.
//!
//! A dedicated thread writes, and no exchange waits for it: if the reader of standard output is too slow, lines are
//! dropped and counted.

mod record;

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use http::Request;
use prometheus_client::metrics::counter::Counter;

pub(crate) use record::{Cause, Record};

use crate::http::forwarded::Peer;

/// Maximum queued lines: some megabytes, and a tenth of a second at the gateway's full rate.
const WAITING_LINES: usize = 8192;
/// How long shutdown waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);
/// Pause between attempts to queue the flush.
const TRY_AGAIN: Duration = Duration::from_millis(5);
/// Lines are batched up to this size.
const BATCH_BYTES: usize = 64 << 10;

/// Format of the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum AccessLog {
    /// No access log.
    #[default]
    Off,
    /// One line of text each.
    Text,
    /// One JSON object each.
    Json,
}

/// A command for the writing thread.
#[derive(Debug)]
enum LogCommand {
    Line(String),
    /// Confirm once everything before this is written.
    Flush(SyncSender<()>),
}

/// Sends lines to the writing thread, which starts at the first line.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineWriter {
    thread: Arc<OnceLock<SyncSender<LogCommand>>>,
    lost: Counter,
}

impl LineWriter {
    /// A writer that counts dropped lines in `lost`.
    pub(crate) fn with(lost: Counter) -> Self {
        Self { thread: Arc::default(), lost }
    }

    /// A record of this request, which is written when dropped.
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
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            thread.try_send(LogCommand::Line(line))
        {
            self.lost.inc();
        }
    }

    /// Blocks until the lines so far are written, at most [`LAST_LINES`].
    pub(crate) fn flush(&self) {
        let Some(thread) = self.thread.get() else { return };
        let until = Instant::now() + LAST_LINES;
        let (written, wait) = sync_channel(1);
        let mut command = LogCommand::Flush(written);
        while let Err(TrySendError::Full(again)) = thread.try_send(command) {
            if Instant::now() > until {
                return tracing::warn!("the last access-log lines were dropped: standard output is blocked");
            }
            command = again;
            thread::sleep(TRY_AGAIN);
        }
        let _ = wait.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

fn start(lost: Counter) -> SyncSender<LogCommand> {
    let (sender, lines) = sync_channel(WAITING_LINES);
    let write = move || write_all(&lines, io::stdout(), &lost);
    if let Err(error) = thread::Builder::new().name("h8s-access-log".into()).spawn(write) {
        tracing::warn!(%error, "failed to start the access-log thread; access logging is disabled");
    }
    sender
}

/// Writes until every sender is gone. Lines that are queued together are written together.
fn write_all(lines: &Receiver<LogCommand>, mut out: impl Write, lost: &Counter) {
    let mut batch = Batch::default();
    loop {
        let command = match lines.try_recv() {
            Err(TryRecvError::Empty) => {
                batch.write(&mut out, lost);
                lines.recv().ok()
            }
            command => command.ok(),
        };
        match command {
            Some(LogCommand::Line(line)) => {
                batch.bytes.extend_from_slice(line.as_bytes());
                batch.lines += 1;
                if batch.bytes.len() >= BATCH_BYTES {
                    batch.write(&mut out, lost);
                }
            }
            Some(LogCommand::Flush(written)) => {
                batch.write(&mut out, lost);
                let _ = written.send(());
            }
            None => return batch.write(&mut out, lost),
        }
    }
}

/// Lines of one write.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
    /// The last batch was lost, which has been logged.
    is_losing: bool,
}

impl Batch {
    /// Lines that cannot be written (disk full) are counted as lost; the next ones are tried again.
    fn write(&mut self, out: &mut impl Write, lost: &Counter) {
        if self.lines == 0 {
            return;
        }
        let written = out.write_all(&self.bytes).and_then(|()| out.flush());
        if let Err(error) = &written {
            lost.inc_by(self.lines);
            if !self.is_losing {
                tracing::warn!(%error, "failed to write the access log; lines are dropped");
            }
        }
        *self = Self { is_losing: written.is_err(), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(lines: &[&str]) -> Receiver<LogCommand> {
        let (sender, receiver) = sync_channel(8);
        lines.iter().for_each(|line| sender.send(LogCommand::Line((*line).into())).unwrap());
        receiver
    }

    /// A disk that is full for the first write.
    #[derive(Default)]
    struct Full(Vec<u8>, bool);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match std::mem::replace(&mut self.1, true) {
                false => Err(io::ErrorKind::StorageFull.into()),
                true => self.0.write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_in_order_and_a_flush_says_when() {
        let (sender, lines) = sync_channel(8);
        let (written, wait) = sync_channel(1);
        for command in
            [LogCommand::Line("1\n".into()), LogCommand::Line("2\n".into()), LogCommand::Flush(written)]
        {
            sender.send(command).unwrap();
        }
        drop(sender);
        let (mut out, lost) = (Vec::new(), Counter::default());

        write_all(&lines, &mut out, &lost);

        wait.try_recv().unwrap();
        assert_eq!((out.as_slice(), lost.get()), (&b"1\n2\n"[..], 0));
    }

    #[test]
    fn a_full_disk_costs_the_lines_of_that_time_and_no_others() {
        let (mut out, lost) = (Full::default(), Counter::default());
        let long = "x".repeat(BATCH_BYTES);

        write_all(&command(&[&long, "kept\n"]), &mut out, &lost);

        assert_eq!((out.0.as_slice(), lost.get()), (&b"kept\n"[..], 1));
    }

    #[test]
    fn lines_that_cannot_be_queued_are_counted_and_block_no_exchange() {
        let (sender, _lines) = sync_channel(1);
        let writer = LineWriter::default();
        writer.thread.set(sender).unwrap();

        (0..5).for_each(|_| writer.write("line\n".into()));

        assert_eq!(writer.lost.get(), 4);
    }
}
