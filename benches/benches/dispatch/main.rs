//! One exchange from [`Requester`](h8s_nats::Requester) over the embedded broker to
//! [`Responder`](h8s_nats::Responder) and back, and beside it the same through `async_nats` alone.
//!
//! Gateway, broker and responder share this process and its threads; each side has connections of its own.

mod stand;
mod streams;
mod unary;
mod yardstick;

use criterion::measurement::WallTime;
use h8s_benches::{CpuTime, Lanes, criterion, runtime};
use h8s_test_support::Bus;

use crate::streams::Streams;
use crate::unary::{Case, Unary};

fn main() {
    let runtime = runtime();
    // Whatever is dropped in here has tasks to end.
    let _entered = runtime.enter();
    let bus = runtime.block_on(Bus::embedded());

    let one = Lanes::new(&runtime, 1);
    // As many as keep both ends and the broker busy.
    let many = Lanes::new(&runtime, 64);
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
