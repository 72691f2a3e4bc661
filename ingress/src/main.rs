//! `h8sd`: flags → build → run → drain.

use std::ffi::OsString;
use std::process::ExitCode;

use h8s_ingress::{BuildError, Config, Drained, Flags, Reloader, Shutdown};
use h8s_nats::ConnectOptions;

/// +10 % on HTTP/2 here, and much less memory kept after bursts.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// As for a mistaken flag: what it was told to use is not there, or not free.
const MISTAKEN: u8 = 2;

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let loaded = h8s_settings::load::<Flags>(&argv).unwrap_or_else(|exit| exit.exit());
    loaded.flags.log_format.start(h8s_nats::LOG_LEVELS);
    let reloader = Reloader::new(argv, &loaded);
    let (config, nats) = loaded.flags.configs().unwrap_or_else(|exit| exit.exit());
    h8s_ingress::raise_limit(&config);
    // Clients are served by threads of their own: this one accepts, and looks after everything else.
    let ended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(serve(config, nats, reloader)));
    match ended {
        Ok(Drained::Whole | Drained::Cut) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("h8sd: {error}.");
            if error.is::<BuildError>() { ExitCode::from(MISTAKEN) } else { ExitCode::FAILURE }
        }
    }
}

async fn serve(config: Config, nats: ConnectOptions, reloader: Reloader) -> anyhow::Result<Drained> {
    let shutdown = Shutdown::on_signals()?;
    // Before anything takes long: a SIGHUP meanwhile must not end the process.
    let reloading = reloader.listen()?;
    let app = config.build(&nats).await?;
    for address in app.addresses() {
        tracing::info!("listening on {address}");
    }
    if let Some(address) = app.admin_address() {
        tracing::info!("operators: http://{address}/healthz /readyz /metrics");
    }
    let reloading = reloading.run(app.live());
    tokio::select! {
        drained = app.run(shutdown) => Ok(drained),
        never = reloading => match never {},
    }
}
