//! One exchange from [`Requester`](h8s_nats::Requester) over the embedded broker to
//! [`Responder`](h8s_nats::Responder) and back, next to the same through `async_nats` alone.
//!
//! Gateway, broker and responder share this process and its threads; each side has its own connections.

mod baseline;
mod setup;
mod streams;
mod unary;

use criterion::measurement::WallTime;
use h8s_benches::{Concurrency, CpuTime, criterion, runtime};
use h8s_test_support::Bus;

use crate::streams::Streams;
use crate::unary::{Case, Unary};

fn main() {
    let runtime = runtime();
    // Values dropped here end their tasks on the runtime.
    let _entered = runtime.enter();
    let bus = runtime.block_on(Bus::embedded());

    let one = Concurrency::new(&runtime, 1);
    // Enough to keep both ends and the broker busy.
    let many = Concurrency::new(&runtime, 64);
    let (mut wall, mut cpu) = (criterion(WallTime), criterion(CpuTime));
    for case in Case::all() {
        let unary = runtime.block_on(Unary::start(&bus, case));
        unary.measure(one, &WallTime, &mut wall.benchmark_group("dispatch/1 at a time"));
        unary.measure(many, &WallTime, &mut wall.benchmark_group("dispatch/64 at a time"));
        unary.measure(many, &CpuTime, &mut cpu.benchmark_group("dispatch/64 at a time, cpu"));
    }
    let streams = runtime.block_on(Streams::start(&bus));
    streams.measure(one, &WallTime, &mut wall.benchmark_group("dispatch/16 MiB"));
    streams.measure(one, &CpuTime, &mut cpu.benchmark_group("dispatch/16 MiB, cpu"));
    wall.final_summary();
}
