//! What the server denies this user. It says so beside everything else, and not to whoever asked for it: a responder
//! whose subscription is denied would be deaf and not know.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::error;

/// Clients can make a gateway ask for what it may not, as often as they like.
const LOG_PAUSE: Duration = Duration::from_secs(5);
/// The client library tells of denials in a task of its own, which may be a moment behind the messages that the server
/// sent afterwards.
const BEHIND: Duration = Duration::from_millis(20);

/// The server does not let this user say or hear something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("NATS does not let this user {what}: grant it what `{remedy}` prints")]
pub struct Denied {
    /// `publish to "h8s.…"`, or `subscribe to "h8s.…" in the queue group "h8s"`.
    what: String,
    remedy: &'static str,
}

impl Denied {
    /// Reads the server's error, which is `permissions violation for publish to "…"`, or
    /// `… for subscription to "…" using queue "…"`. `None` for any other.
    fn read(error: &str, remedy: &'static str) -> Option<Self> {
        const VIOLATION: &str = "permissions violation for ";
        let lower = error.to_ascii_lowercase();
        let (_, what) = error.split_at(lower.find(VIOLATION)? + VIOLATION.len());
        let mut quoted = what.split('"').skip(1).step_by(2);
        let subject = quoted.next()?;
        let what = match (what.to_ascii_lowercase().starts_with("subscription"), quoted.next()) {
            (true, Some(group)) => format!("subscribe to {subject:?} in the queue group {group:?}"),
            (true, None) => format!("subscribe to {subject:?}"),
            (false, _) => format!("publish to {subject:?}"),
        };
        Some(Self { what, remedy })
    }
}

/// What prints the rights that a program of this name needs.
fn remedy(program: &str) -> &'static str {
    match program {
        "h8sd" => "h8s permissions --role gateway",
        "h8s-host" => "h8s permissions --role host --host HOST",
        "h8srd" => "h8s permissions --role daemon --host HOST",
        _ => "h8s permissions",
    }
}

/// What one connection has been denied: a start that is under way fails by it, later it is logged.
pub(crate) struct Denials {
    remedy: &'static str,
    last: watch::Sender<Option<Denied>>,
}

/// The connections of a process are denied the same.
static LOGGED: Mutex<Logged> = Mutex::new(Logged { at: None, left_out: 0 });

struct Logged {
    at: Option<Instant>,
    left_out: u64,
}

impl Denials {
    pub(crate) fn new(program: &str) -> Self {
        Self { remedy: remedy(program), last: watch::Sender::new(None) }
    }

    /// Takes in an error of the server, if it is a denial.
    pub(crate) fn take(&self, error: &str) -> bool {
        let Some(denied) = Denied::read(error, self.remedy) else { return false };
        // Who fails by it says it.
        if self.last.receiver_count() == 0 {
            log(&denied);
        }
        self.last.send_replace(Some(denied));
        true
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<Denied>> {
        self.last.subscribe()
    }
}

fn log(denied: &Denied) {
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    if logged.at.is_some_and(|at| at.elapsed() < LOG_PAUSE) {
        logged.left_out += 1;
        return;
    }
    let left_out = std::mem::take(&mut logged.left_out);
    logged.at = Some(Instant::now());
    drop(logged);
    error!(left_out, "{denied}");
}

/// Waits for denials on both connections of a link while something starts on it.
pub(crate) struct PermissionWatch {
    pub(crate) native: watch::Receiver<Option<Denied>>,
    pub(crate) plain: watch::Receiver<Option<Denied>>,
}

impl PermissionWatch {
    /// Does one step, which ends with a round trip to the server; whatever of it is denied is its error.
    pub(crate) async fn over<T, E: From<Denied>>(
        &mut self,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let done = tokio::select! {
            denied = self.denied() => Err(denied.into()),
            done = step => done,
        };
        let done = match (done, timeout(BEHIND, self.denied()).await) {
            (Ok(_), Ok(denied)) => Err(denied.into()),
            (done, _) => done,
        };
        if done.is_err() {
            // Whatever else is denied is for the same reason: it is said once.
            sleep(BEHIND).await;
            self.native.mark_unchanged();
            self.plain.mark_unchanged();
        }
        done
    }

    async fn denied(&mut self) -> Denied {
        tokio::select! {
            denied = next(&mut self.native) => denied,
            denied = next(&mut self.plain) => denied,
        }
    }
}

async fn next(denials: &mut watch::Receiver<Option<Denied>>) -> Denied {
    while denials.changed().await.is_ok() {
        if let Some(denied) = denials.borrow_and_update().clone() {
            return denied;
        }
    }
    // The connection is gone, and tells of nothing any more.
    std::future::pending().await
}

impl Drop for PermissionWatch {
    fn drop(&mut self) {
        for denials in [&self.native, &self.plain] {
            // What came too late to be a step's error.
            if denials.has_changed().unwrap_or(false)
                && let Some(denied) = &*denials.borrow()
            {
                error!("{denied}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(error: &str) -> Option<String> {
        Denied::read(error, remedy("h8srd")).map(|denied| denied.to_string())
    }

    #[test]
    fn what_the_server_says_is_one_sentence_with_a_remedy() {
        let group = r#"nats: Permissions Violation for Subscription to "h8s.x.ANY.a._" using queue "shop""#;
        assert_eq!(
            read(group).unwrap(),
            "NATS does not let this user subscribe to \"h8s.x.ANY.a._\" in the queue group \"shop\": \
             grant it what `h8s permissions --role daemon --host HOST` prints"
        );
        let publish = r#"permissions violation for Publish to "h8s.Inbox""#;
        assert!(read(publish).unwrap().contains("user publish to \"h8s.Inbox\": grant"));
        let subscribe = r#"Permissions Violation for Subscription to ">""#;
        assert!(read(subscribe).unwrap().contains("user subscribe to \">\": grant"));
    }

    #[test]
    fn other_errors_are_no_denials() {
        for other in ["", "Stale Connection", "permissions violation for ", "İpermissions violation for x"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_start_fails_by_what_is_denied_meanwhile_or_just_after() {
        let denials = Denials::new("h8sd");
        let (violation, step) = (r#"permissions violation for publish to "a""#, async || Ok::<_, Denied>(()));
        let mut permission_watch = PermissionWatch { native: denials.watch(), plain: denials.watch() };
        assert_eq!(permission_watch.over(step()).await, Ok(()));

        let denied = async {
            assert!(denials.take(violation));
            step().await
        };
        assert!(permission_watch.over(denied).await.unwrap_err().to_string().contains("--role gateway"));

        // Neither does what was denied before count, nor does it wait for a step that never ends.
        drop(permission_watch);
        denials.take(violation);
        let mut permission_watch = PermissionWatch { native: denials.watch(), plain: denials.watch() };
        assert_eq!(permission_watch.over(step()).await, Ok(()));
        let never = async {
            denials.take(violation);
            std::future::pending::<Result<(), Denied>>().await
        };
        assert!(permission_watch.over(never).await.is_err());
    }
}
