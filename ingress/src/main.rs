//! `h8sd`: flags → build → run → drain.

use std::process::ExitCode;

use h8s_ingress::{BuildError, Config, Drained, Flags, Shutdown};
use h8s_nats::NatsConfig;

/// +10 % on HTTP/2 here, and much less memory kept after bursts.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// As for a mistaken flag: what it was told to use is not there, or not free.
const MISTAKEN: u8 = 2;

fn main() -> ExitCode {
    let flags = h8s_settings::load::<Flags>(std::env::args_os()).unwrap_or_else(|exit| exit.exit()).flags;
    flags.log_format.start("info");
    let (config, nats) = flags.configs().unwrap_or_else(|exit| exit.exit());
    h8s_ingress::raise_limit(&config);
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(serve(config, nats)));
    match ended {
        Ok(Drained::Whole | Drained::Cut) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("h8sd: {error}.");
            if error.is::<BuildError>() { ExitCode::from(MISTAKEN) } else { ExitCode::FAILURE }
        }
    }
}

async fn serve(config: Config, nats: NatsConfig) -> anyhow::Result<Drained> {
    let shutdown = Shutdown::on_signals()?;
    let app = config.build(&nats).await?;
    for address in app.addresses() {
        tracing::info!("listening on {address}");
    }
    if let Some(address) = app.admin_address() {
        tracing::info!("operators: http://{address}/healthz /readyz /metrics");
    }
    Ok(app.run(shutdown).await)
}
