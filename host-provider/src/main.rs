//! `h8s-host`: flags → build → run → drain.

use std::process::ExitCode;

use h8s_host::{Flags, HostConfig, Served, connect, keep_current};
use h8s_nats::{Bus, ConnectError, ConnectOptions, Responder};
use h8s_settings::{Reload, Stop};
use tokio::time::{Instant, timeout_at};

/// Keeps much less memory after bursts than the system's allocator.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The program's name in its errors.
const NAME: &str = "h8s-host";

/// The exit code for invalid configuration, as for an invalid flag.
const INVALID_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let loaded = Flags::load(std::env::args_os()).unwrap_or_else(|exit| exit.exit());
    loaded.flags.program.log_format.start(h8s_nats::LOG_LEVELS);
    let (config, nats) = Flags::configs(loaded).unwrap_or_else(|exit| exit.exit());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(error.into()),
    };
    // Before the components are read, so that no change is missed.
    let reload = runtime.block_on(async { Reload::new(config.watched()) });
    let reload = match reload {
        Ok(reload) => reload,
        Err(error) => return failed(error.into()),
    };
    let served = match runtime.block_on(config.build()) {
        Ok(served) => served,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(INVALID_CONFIGURATION);
        }
    };
    let result = runtime.block_on(serve(&config, &nats, served, reload));
    // Does not wait for name lookups or compilations on blocking threads.
    runtime.shutdown_background();
    h8s_settings::exit_code(NAME, result, |error| error.is::<ConnectError>())
}

fn failed(error: anyhow::Error) -> ExitCode {
    h8s_settings::exit_code(NAME, Err(error), |error| error.is::<ConnectError>())
}

async fn serve(
    config: &HostConfig,
    nats: &ConnectOptions,
    served: Vec<Served>,
    mut reload: Reload,
) -> anyhow::Result<()> {
    let mut stop = Stop::on_signals()?;
    let bus = Bus::connect(nats.clone()).await?;
    connect(&served, &bus, nats.subjects()).await?;
    let mut responder = Responder::builder(bus);
    for Served { interests, service } in &served {
        for interest in interests {
            responder = responder.serve(interest.clone(), service.clone());
        }
    }
    let responder = responder.start().await?;
    tracing::info!("ready");
    let services: Vec<_> = served.iter().map(|served| served.service.clone()).collect();
    tokio::select! {
        () = stop.requested() => {}
        () = keep_current(&services, &mut reload) => {}
    }
    tracing::info!("draining");
    let deadline = Instant::now() + config.grace_period;
    let drained = async {
        responder.drain(config.grace_period).await;
        // Responses are sent; guests may still work after them.
        for Served { service, .. } in &served {
            if timeout_at(deadline, service.idle()).await.is_err() {
                tracing::warn!(
                    component = service.name(),
                    running = service.running(),
                    "shutdown interrupted running calls"
                );
            }
        }
    };
    stop.wait_for(drained).await;
    Ok(())
}
