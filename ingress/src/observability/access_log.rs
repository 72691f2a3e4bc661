//! The access log: one line on standard output for each exchange, when it has ended.
//!
//! A thread of its own writes, and no exchange waits for it: where the reader of standard output does not keep up,
//! lines are lost and counted.

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

/// Lines that may wait to be written: some megabytes, and a tenth of a second of all that a gateway can answer.
const WAITING_LINES: usize = 8192;
/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);
/// Between two tries to have them taken.
const TRY_AGAIN: Duration = Duration::from_millis(5);
/// Lines are written together up to here.
const BATCH_BYTES: usize = 64 << 10;

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
        let until = Instant::now() + LAST_LINES;
        let (written, wait) = sync_channel(1);
        let mut told = Told::Flush(written);
        while let Err(TrySendError::Full(again)) = thread.try_send(told) {
            if Instant::now() > until {
                return tracing::warn!("the last lines of the access log are lost: nobody takes them");
            }
            told = again;
            thread::sleep(TRY_AGAIN);
        }
        let _ = wait.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

fn start(lost: Counter) -> SyncSender<Told> {
    let (sender, lines) = sync_channel(WAITING_LINES);
    let write = move || write_all(&lines, io::stdout(), &lost);
    if let Err(error) = thread::Builder::new().name("h8s-access-log".into()).spawn(write) {
        tracing::warn!(%error, "the access log has no thread, and no lines");
    }
    sender
}

/// Until nobody has a line to write any more. Lines that come together are written together.
fn write_all(lines: &Receiver<Told>, mut out: impl Write, lost: &Counter) {
    let mut batch = Batch::default();
    loop {
        let told = match lines.try_recv() {
            Err(TryRecvError::Empty) => {
                batch.write(&mut out, lost);
                lines.recv().ok()
            }
            told => told.ok(),
        };
        match told {
            Some(Told::Line(line)) => {
                batch.bytes.extend_from_slice(line.as_bytes());
                batch.lines += 1;
                if batch.bytes.len() >= BATCH_BYTES {
                    batch.write(&mut out, lost);
                }
            }
            Some(Told::Flush(written)) => {
                batch.write(&mut out, lost);
                let _ = written.send(());
            }
            None => return batch.write(&mut out, lost),
        }
    }
}

/// Lines that are written in one go.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
    /// The last ones were lost, and the log says so already.
    is_losing: bool,
}

impl Batch {
    /// What cannot be written (the disk is full) is counted, and the next lines are tried again.
    fn write(&mut self, out: &mut impl Write, lost: &Counter) {
        if self.lines == 0 {
            return;
        }
        let written = out.write_all(&self.bytes).and_then(|()| out.flush());
        if let Err(error) = &written {
            lost.inc_by(self.lines);
            if !self.is_losing {
                tracing::warn!(%error, "the access log cannot be written right now");
            }
        }
        *self = Self { is_losing: written.is_err(), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Receiver<Told> {
        let (sender, receiver) = sync_channel(8);
        lines.iter().for_each(|line| sender.send(Told::Line((*line).into())).unwrap());
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
        for told in [Told::Line("1\n".into()), Told::Line("2\n".into()), Told::Flush(written)] {
            sender.send(told).unwrap();
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

        write_all(&told(&[&long, "kept\n"]), &mut out, &lost);

        assert_eq!((out.0.as_slice(), lost.get()), (&b"kept\n"[..], 1));
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
