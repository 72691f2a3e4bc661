//! A guest's view of its environment: output, environment variables, and nothing else.

use std::alloc::Layout;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingRequest, ResponseOutparam, Scheme};

use crate::answer::send;

pub fn print(_request: IncomingRequest, out: ResponseOutparam) {
    println!("to standard output");
    eprintln!("to standard error");
    print!("a last line without its end");
    let _ = std::io::stdout().flush();
    send(out, 200, "printed\n");
}

pub fn print_endlessly(_request: IncomingRequest, _out: ResponseOutparam) {
    loop {
        println!("and on and on");
    }
}

/// One line of a megabyte.
pub fn print_long_line(_request: IncomingRequest, out: ResponseOutparam) {
    println!("{}", "x".repeat(1 << 20));
    send(out, 200, "printed\n");
}

/// Looks for data of an earlier instance in its memory, and leaves some.
pub fn leave_traces(_request: IncomingRequest, out: ResponseOutparam) {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    const BYTES: usize = 8 << 20;
    const TRACE: u8 = 0xaa;
    let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    let layout = Layout::array::<u8>(BYTES).expect("a small array");
    // SAFETY: the block is as long as its layout says and is not shared. It is uninitialised, but memory of
    // WebAssembly is never undefined: reading it is the purpose.
    let traces = unsafe {
        let block = std::alloc::alloc(layout);
        assert!(!block.is_null());
        let traces = (0..BYTES).filter(|at| block.add(*at).read_volatile() == TRACE).count();
        block.write_bytes(TRACE, BYTES);
        traces
    };
    send(out, 200, &format!("call {calls}, traces {traces}\n"));
}

pub fn environment(_request: IncomingRequest, out: ResponseOutparam) {
    let lines: String = std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect();
    send(out, 200, &lines);
}

/// Tries the file system and the network.
pub fn reach_out(_request: IncomingRequest, out: ResponseOutparam) {
    let file = std::fs::read("/etc/hostname").is_ok();
    let directory = std::fs::read_dir("/").is_ok();
    let written = std::fs::write("/tmp/h8s-guest", "x").is_ok();
    let tcp = std::net::TcpStream::connect("127.0.0.1:1").map_err(|error| error.kind());
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").is_ok();
    let tcp = matches!(tcp, Ok(_) | Err(std::io::ErrorKind::ConnectionRefused));
    send(out, 200, &format!("file {file} directory {directory} written {written} tcp {tcp} udp {udp}\n"));
}

/// Tries an outgoing HTTP request, and answers with the error.
pub fn send_http(_request: IncomingRequest, out: ResponseOutparam) {
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).expect("a scheme");
    request.set_authority(Some("127.0.0.1:1")).expect("an authority");
    request.set_path_with_query(Some("/")).expect("a path");
    let outcome = match outgoing_handler::handle(request, None) {
        Ok(future) => {
            future.subscribe().block();
            match future.get() {
                Some(Ok(Ok(response))) => format!("answered {}", response.status()),
                Some(Ok(Err(code))) => format!("{code:?}"),
                other => format!("unexpected: {}", other.is_some()),
            }
        }
        Err(code) => format!("{code:?}"),
    };
    send(out, 200, &format!("{outcome}\n"));
}
