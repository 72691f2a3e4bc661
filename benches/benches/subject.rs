//! Measures routing: parsing hosts and paths from client input, building subjects, and looking up patterns.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use h8s_benches::{CpuTime, criterion, heads};
use h8s_wire::{Host, Interest, MethodPattern, PathTokens, PatternMap, Subjects};
use http::Method;

fn main() {
    let mut criterion = criterion(CpuTime);
    hosts(&mut criterion);
    paths(&mut criterion);
    subjects(&mut criterion);
    patterns(&mut criterion);
    criterion.final_summary();
}

fn hosts(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("subject/Host::parse");
    let longest = ["a".repeat(63).as_str(); 3].join(".") + "." + &"b".repeat(61);
    for (name, authority) in [
        ("name and port", "api.example.com:8080"),
        ("IPv6", "[2001:db8::7]:8080"),
        ("253 characters", &longest),
    ] {
        group.bench_function(name, |b| b.iter(|| Host::parse(black_box(authority)).expect("it is a host")));
    }
    group.finish();
}

/// The hostile ones are as long as the gateway's limit of a request line, or longer.
fn paths(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("subject/PathTokens::of");
    for (name, path) in [
        ("short", "/shop/items/42".to_owned()),
        ("long: 32 segments of 30", format!("/{}", "s".repeat(30)).repeat(32)),
        ("hostile: 64 KiB in one segment", format!("/{}", "%00*>.".repeat(11_000))),
        ("hostile: 64 KiB of segments", "/%2e".repeat(16_384)),
        ("hostile: 64 KiB of slashes", "/".repeat(65_536)),
    ] {
        group.bench_function(name, |b| b.iter(|| PathTokens::of(black_box(&path))));
    }
    group.finish();
}

fn subjects(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("subject/Subjects::http");
    let (subjects, host, get) = (Subjects::default(), host(), get());
    for (name, path) in
        [("short", "/shop/items/42".to_owned()), ("cut", format!("/{}", "s".repeat(40)).repeat(25))]
    {
        let path = PathTokens::of(&path);
        group.bench_function(name, |b| b.iter(|| subjects.http(&get, black_box(&host), black_box(&path))));
    }
    group.finish();
}

/// The requested pattern always exists; the others are on the same host.
fn patterns(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("subject/PatternMap::matching");
    let (host, get, path) = (host(), get(), PathTokens::of("/service-0/items/42"));
    for count in [1, 100, 1_000] {
        let map = services(count);
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                map.matching(black_box(&host), &get, black_box(&path)).next().expect("the pattern exists").1
            });
        });
    }
    group.finish();
}

fn services(count: usize) -> PatternMap<usize> {
    let mut map = PatternMap::default();
    for n in 0..count {
        let path = format!("/service-{n}/*").parse().expect("it is a pattern");
        map.entry(&Interest { host: host(), path, method: MethodPattern::Any }, || n);
    }
    map
}

fn host() -> Host {
    heads::HOST.parse().expect("it is a host")
}

fn get() -> MethodPattern {
    MethodPattern::named(&Method::GET).expect("GET is a method")
}
