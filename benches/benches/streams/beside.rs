//! Measures the effect of large bodies on small requests.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use h8s_benches::transfer::{Download, upload};
use h8s_benches::{OpenLoopLoad, Report, Spread, Wanted};
use serde_json::json;

use crate::BODY_BYTES;
use crate::responder::{SMALL, UP, down};
use crate::setup::Setup;

/// The rate of small requests per second: low, so that latency is measured and not cost.
const RATE: u32 = 400;
/// The duration; each large body is sent again when it has arrived.
const TIME: Duration = Duration::from_secs(5);
/// The target of their p50, relative to that alone.
const TARGET: Wanted = Wanted::AtMost(3.0);

/// The concurrent large bodies, by name.
type Bulk = (&'static str, &'static [fn(SocketAddr)]);
const BULKS: [Bulk; 3] =
    [("large down", &[download]), ("large up", &[send]), ("both at once", &[download, send])];

pub(crate) fn measure(setup: &Setup, report: &mut Report) {
    println!("beside: {RATE} small requests a second");
    let address = setup.address();
    let alone = OpenLoopLoad::run(address, SMALL, RATE, TIME);
    show("alone", &alone, None, report);
    for (name, transfers) in BULKS {
        let steady = OpenLoopLoad::start(address, SMALL, RATE);
        let begin = Instant::now();
        thread::scope(|scope| {
            for transfer in transfers {
                scope.spawn(|| {
                    while begin.elapsed() < TIME {
                        transfer(address);
                    }
                });
            }
        });
        show(name, &steady.stop(), Some(&alone), report);
    }
}

fn download(address: SocketAddr) {
    Download::start(address, &down(BODY_BYTES), BODY_BYTES).finish();
}

fn send(address: SocketAddr) {
    upload(address, UP, BODY_BYTES);
}

fn show(name: &str, times: &Spread, alone: Option<&Spread>, report: &mut Report) {
    let ratio = alone.map(|alone| times.median().as_secs_f64() / alone.median().as_secs_f64());
    let judged =
        ratio.map_or(String::new(), |ratio| format!("   p50 {ratio:.2} × alone, {}", TARGET.judge(ratio)));
    let micros = |percent| times.at(percent).as_secs_f64() * 1e6;
    report.row(
        &format!(
            "{name:14} {:8.1?} p50, {:8.1?} p99, {:8.1?} at most{judged}",
            times.median(),
            times.at(99),
            times.at(100)
        ),
        json!({
            "beside": name, "p50_us": micros(50), "p99_us": micros(99), "most_us": micros(100), "p50_ratio": ratio,
            "met": ratio.map(|ratio| TARGET.is_met(ratio)),
        }),
    );
}
