//! What `h8s dev` is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use h8s_host_provider::GuestFlags;
use h8s_ingress::AccessLog;
use h8s_settings::LogFormat;

const EXAMPLES: &str = "\
Examples:
  h8s dev hello.wasm                          one component, everywhere
  h8s dev hello.wasm echo.wasm                at /hello and /echo
  h8s dev /=home.wasm '/api/*=services/api'   one path each; a directory is built first";

/// Serves components on this machine: gateway, NATS and wasmtime host in one process
// The variables are not those of h8sd: who exports an address or a NATS for that should not find development there.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "h8s dev", version, after_help = EXAMPLES)]
pub(crate) struct Dev {
    /// A .wasm file, or a directory with a Cargo.toml, which is built first. PATH says where it is served: /api is
    /// exactly that path, /api/* also everything below it. Unless given, one component serves /*, and several serve
    /// /NAME/*, each under its file's name. Without a component, the one in the current directory. What changes while it
    /// is served is built again, and served then
    #[arg(value_name = "[PATH=]COMPONENT")]
    pub(crate) components: Vec<String>,
    /// A TOML file with the same keys as the flags
    #[arg(long, env = "H8S_DEV_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where to listen, on this machine only; port 0 takes any that is free
    #[arg(long, env = "H8S_DEV_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = loopback)]
    pub(crate) listen: SocketAddr,
    /// Use this NATS server rather than start one: nats://HOST:PORT, or nats://USER:PASSWORD@HOST:PORT
    #[arg(long, env = "H8S_DEV_NATS_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) nats_url: Option<String>,
    #[command(flatten)]
    pub(crate) guest: GuestFlags,
    /// How log lines (on standard error) and what is said at start (on standard output) look
    #[arg(long, env = "H8S_LOG_FORMAT", value_name = "FORMAT", default_value = "text", value_enum)]
    pub(crate) log_format: LogFormat,
    /// Log more, and say on standard output what becomes of each request; twice for all there is. RUST_LOG says exactly
    /// what is logged
    #[arg(long, short, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say the address only, and log errors only
    #[arg(long, short, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

impl Dev {
    /// Whether there is a line for each request, and how it looks.
    pub(crate) fn access_log(&self) -> AccessLog {
        match (self.verbose, self.log_format) {
            (0, _) => AccessLog::Off,
            (_, LogFormat::Text) => AccessLog::Text,
            (_, LogFormat::Json) => AccessLog::Json,
        }
    }

    /// Which lines the log has unless RUST_LOG says so.
    pub(crate) fn levels(&self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "error",
            // What the components print is what their author wants to see, and which of them runs.
            (false, 0) => "warn,h8s::guest=info,h8s::swap=info",
            (false, 1) => "info",
            (false, _) => "debug",
        }
    }
}

/// An address that only this machine can reach.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost").unwrap_or(text).strip_prefix(':');
    let address = match port.and_then(|port| port.parse().ok()) {
        Some(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        None => {
            text.parse::<SocketAddr>().map_err(|_| "not an address; write 127.0.0.1:8080 or [::1]:8080")?
        }
    };
    if !address.ip().is_loopback() {
        return Err("other machines can reach that, and this is for development; use h8sd to serve them, \
                    or 127.0.0.1 or [::1] here"
            .into());
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on() {
        let listens = |text| loopback(text).map(|address| address.to_string());

        assert_eq!(listens("localhost:1").unwrap(), "127.0.0.1:1");
        assert_eq!(listens(":1").unwrap(), "127.0.0.1:1");
        assert_eq!(listens("[::1]:0").unwrap(), "[::1]:0");
        assert_eq!(listens("127.9.9.9:1").unwrap(), "127.9.9.9:1");
        for elsewhere in ["0.0.0.0:8080", "[::]:8080", "192.168.1.1:80"] {
            assert!(listens(elsewhere).unwrap_err().contains("other machines"), "{elsewhere}");
        }
        for nothing in ["", "8080", "localhost", "localhost:", "example.com:80", "127.0.0.1:99999"] {
            assert!(listens(nothing).unwrap_err().contains("not an address"), "{nothing}");
        }
    }
}
