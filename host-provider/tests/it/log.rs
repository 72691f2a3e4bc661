//! What the host logs, collected for all tests of the process and looked up by component.

use std::io;
use std::sync::{Arc, Mutex, Once};

use tokio::sync::watch;
use tracing_subscriber::fmt::MakeWriter;

use crate::fixture::within;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn changes() -> &'static watch::Sender<usize> {
    static CHANGES: std::sync::LazyLock<watch::Sender<usize>> =
        std::sync::LazyLock::new(|| watch::channel(0).0);
    &CHANGES
}

struct Collector;

impl io::Write for Collector {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap().push(String::from_utf8_lossy(line).into_owned());
        changes().send_modify(|count| *count += 1);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Collectors;

impl MakeWriter<'_> for Collectors {
    type Writer = Collector;

    fn make_writer(&self) -> Collector {
        Collector
    }
}

/// Collects from now on.
pub(crate) fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let subscriber = tracing_subscriber::fmt().json().with_writer(Collectors).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// Every line so far that holds all of `parts`.
pub(crate) fn lines(parts: &[&str]) -> Vec<String> {
    let holds_all = |line: &&String| parts.iter().all(|part| line.contains(part));
    LINES.lock().unwrap().iter().filter(holds_all).cloned().collect()
}

/// Waits for a line that holds all of `parts`.
pub(crate) async fn line(parts: &[&str]) -> Arc<str> {
    let mut changes = changes().subscribe();
    within(async {
        loop {
            if let Some(line) = lines(parts).first() {
                return Arc::from(line.as_str());
            }
            changes.changed().await.unwrap();
        }
    })
    .await
}

/// How a component is named in a line.
pub(crate) fn of(service: &h8s_host::ComponentService) -> String {
    format!("\"component\":\"{}\"", service.name())
}
