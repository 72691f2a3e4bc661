//! `h8srd`: flags → build → run → drain.

use std::process::ExitCode;

use h8s_nats::{Bus, ConnectError, ConnectOptions, Responder};
use h8s_reverse::{Flags, ReverseConfig, Served};
use h8s_settings::Stop;
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
    let threads = h8s_settings::threads(loaded.flags.threads);
    let (config, nats) = Flags::configs(loaded).unwrap_or_else(|exit| exit.exit());
    let ended = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(serve(&config, &nats)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Every error here tells its cause itself.
            eprintln!("h8srd: {error}.");
            if error.is::<ConnectError>() { ExitCode::from(MISTAKEN) } else { ExitCode::FAILURE }
        }
    }
}

async fn serve(config: &ReverseConfig, nats: &ConnectOptions) -> anyhow::Result<()> {
    let mut stop = Stop::on_signals()?;
    let served = config.build()?;
    let link = Bus::connect(nats.clone()).await?;
    let mut responder = Responder::builder(link).queue_group(config.queue_group.as_str());
    for Served { interests, service, about } in &served {
        tracing::info!("serving {about}");
        service.probe();
        for interest in interests {
            responder = responder.serve(interest.clone(), service.clone());
        }
    }
    let responder = responder.start().await?;
    tracing::info!("ready");
    stop.asked().await;
    tracing::info!("draining");
    let deadline = Instant::now() + config.grace_period;
    let drained = async {
        responder.drain(config.grace_period).await;
        // Answers are out; WebSockets may still be saying goodbye to their backends.
        for Served { service, .. } in &served {
            let _ = timeout_at(deadline, service.idle()).await;
        }
    };
    stop.wait_for(drained).await;
    Ok(())
}
