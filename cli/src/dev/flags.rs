//! The flags of `h8s dev`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use h8s_host::GuestFlags;
use h8s_ingress::AccessLog;
use h8s_settings::LogFormat;

const EXAMPLES: &str = "\
Examples:
  h8s dev hello.wasm                          one component, at /*
  h8s dev hello.wasm echo.wasm                at /hello and /echo
  h8s dev /=home.wasm '/api/*=services/api'   one path each; builds the directory first";

/// Serve components on this machine: gateway, NATS and wasmtime host in one process
// Its own variables, not those of h8sd: an address exported for production must not apply to development.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "h8s dev", version, after_help = EXAMPLES)]
pub(crate) struct Dev {
    /// A .wasm file, or a directory with a Cargo.toml, which is built first. PATH is where it is served: /api is exactly
    /// that path, /api/* also everything below it. The default is /* for one component, and /NAME/* for each of several,
    /// NAME being the file's name. Without COMPONENT, the one in the current directory. Changes are rebuilt and swapped in
    /// while serving
    #[arg(value_name = "[PATH=]COMPONENT")]
    pub(crate) components: Vec<String>,
    /// A TOML file with the same keys as the flags
    #[arg(long, env = "H8S_DEV_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The loopback address to listen on; port 0 picks a free port
    #[arg(long, env = "H8S_DEV_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = loopback)]
    pub(crate) listen: SocketAddr,
    /// Use this NATS server instead of the embedded broker: nats://HOST:PORT, or nats://USER:PASSWORD@HOST:PORT
    #[arg(long, env = "H8S_DEV_NATS_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) nats_url: Option<String>,
    #[command(flatten)]
    pub(crate) guest: GuestFlags,
    /// The format of log lines (standard error) and of the start-up message (standard output)
    #[arg(long, env = "H8S_LOG_FORMAT", value_name = "FORMAT", default_value = "text", value_enum)]
    pub(crate) log_format: LogFormat,
    /// Log at level info, and print one access-log line per request on standard output; repeat for level debug. RUST_LOG
    /// overrides the level
    #[arg(long, short, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Print only the address, and log only errors
    #[arg(long, short, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

impl Dev {
    /// The access log: off unless `--verbose`.
    pub(crate) fn access_log(&self) -> AccessLog {
        match (self.verbose, self.log_format) {
            (0, _) => AccessLog::Off,
            (_, LogFormat::Text) => AccessLog::Text,
            (_, LogFormat::Json) => AccessLog::Json,
        }
    }

    /// The log filter unless RUST_LOG is set.
    pub(crate) fn levels(&self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "error",
            // The developer wants to see what components print, and swaps.
            (false, 0) => "warn,h8s::guest=info,h8s::swap=info",
            (false, 1) => "info",
            (false, _) => "debug",
        }
    }
}

/// Parses an address that only this machine can reach.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost").unwrap_or(text).strip_prefix(':');
    let address = match port.and_then(|port| port.parse().ok()) {
        Some(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        None => text
            .parse::<SocketAddr>()
            .map_err(|_| "not a valid address; use for example 127.0.0.1:8080 or [::1]:8080")?,
    };
    if !address.ip().is_loopback() {
        return Err("h8s dev listens on loopback only, and other machines can reach that address; use 127.0.0.1 or [::1], \
                    or run h8sd to serve other machines"
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
            assert!(listens(nothing).unwrap_err().contains("not a valid address"), "{nothing}");
        }
    }
}
