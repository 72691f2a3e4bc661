//! `h8s-host`: flags → build → run → drain.

use std::process::ExitCode;

use h8s_host::{Flags, HostConfig, Served, connect, keep_current};
use h8s_nats::{Bus, ConnectError, ConnectOptions, Responder};
use h8s_settings::{Reload, Stop};
use tokio::time::{Instant, timeout_at};

/// Much less memory kept after bursts than the system's allocator keeps.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// As for a mistaken flag: what it was told to use is not there, or no use.
const MISTAKEN: u8 = 2;

fn main() -> ExitCode {
    let loaded = Flags::load(std::env::args_os()).unwrap_or_else(|exit| exit.exit());
    loaded.flags.log_format.start(h8s_nats::LOG_LEVELS);
    let (config, nats) = Flags::configs(loaded).unwrap_or_else(|exit| exit.exit());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ended(&error.into()),
    };
    // Before the components are read, and before somebody who has changed one says so.
    let reload = runtime.block_on(async { Reload::new(config.watched()) });
    let reload = match reload {
        Ok(reload) => reload,
        Err(error) => return ended(&error.into()),
    };
    let served = match runtime.block_on(config.build()) {
        Ok(served) => served,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(MISTAKEN);
        }
    };
    let ended_as = runtime.block_on(serve(&config, &nats, served, reload));
    // A name that is looked up, or a component that is compiled, holds up nobody who wants to end.
    runtime.shutdown_background();
    match ended_as {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ended(&error),
    }
}

fn ended(error: &anyhow::Error) -> ExitCode {
    // Every error here tells its cause itself.
    eprintln!("h8s-host: {error}.");
    if error.is::<ConnectError>() { ExitCode::from(MISTAKEN) } else { ExitCode::FAILURE }
}

async fn serve(
    config: &HostConfig,
    nats: &ConnectOptions,
    served: Vec<Served>,
    mut reload: Reload,
) -> anyhow::Result<()> {
    let mut stop = Stop::on_signals()?;
    let link = Bus::connect(nats.clone()).await?;
    connect(&served, &link, nats.subjects()).await?;
    let mut responder = Responder::builder(link);
    for Served { interests, service } in &served {
        for interest in interests {
            responder = responder.serve(interest.clone(), service.clone());
        }
    }
    let responder = responder.start().await?;
    tracing::info!("ready");
    let services: Vec<_> = served.iter().map(|served| served.service.clone()).collect();
    tokio::select! {
        () = stop.asked() => {}
        () = keep_current(&services, &mut reload) => {}
    }
    tracing::info!("draining");
    let deadline = Instant::now() + config.grace_period;
    let drained = async {
        responder.drain(config.grace_period).await;
        // Answers are out; some components may still be busy with what they do afterwards.
        for Served { service, .. } in &served {
            if timeout_at(deadline, service.idle()).await.is_err() {
                tracing::warn!(component = service.name(), running = service.running(), "cut off by the end");
            }
        }
    };
    stop.wait_for(drained).await;
    Ok(())
}
