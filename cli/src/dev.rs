//! `h8s dev`: broker, gateway and host in one process. Starts, serves (and swaps changed components), drains.
//!
//! The parts communicate over NATS, as the separate programs do. The gateway's socket is bound first, so that a port in
//! use is reported before anything is built.
//!
//! [`placement`] reads the arguments, [`origin`] builds directories ([`source`]) and rebuilds them when their
//! [`sources`] change, [`banner`] prints the addresses.

mod banner;
mod failure;
mod flags;
mod origin;
mod placement;
mod source;
mod sources;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use h8s_broker::Broker;
use h8s_host::{
    CodeCache, ComponentSource, ConfigurationSource, GuestFlags, HostConfig, Limits, OutgoingSource, Served,
    ServedSource, connect,
};
use h8s_ingress::{App, Config, Drained, Shutdown};
use h8s_nats::{Bus, ConnectOptions, Requester, RequesterConfig, Responder};
use h8s_settings::{ConfigErrors, Exit};
use h8s_wire::{Host, Interest, MethodPattern};
use http::Method;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use self::banner::{Banner, Line};
use self::failure::Failure;
pub(crate) use self::flags::Dev;
use self::origin::{BuildLock, Origin};
use self::placement::{ComponentArgument, Placement};

/// The names of this machine. Requests for other hosts get 404.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
/// The longest shutdown. The programs default to 25 s; a developer waits.
const GRACE_PERIOD: Duration = Duration::from_secs(5);
/// How long start-up waits until the gateway knows the components' interests; usually a tenth of that.
const INTEREST_TIMEOUT: Duration = Duration::from_secs(2);
/// The polling interval meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Runs `h8s dev`.
pub(crate) fn main(argv: Vec<OsString>) -> ExitCode {
    let flags = h8s_settings::load::<Dev>(argv).unwrap_or_else(|exit| exit.exit()).flags;
    flags.log_format.start(flags.levels());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(Failure::Runtime).and_then(|runtime| {
        let ended = runtime.block_on(run(flags));
        // The process ends now, all parts at once: shut down in turn, they would log disconnects from each other.
        std::mem::forget(runtime);
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Serves until a signal, then drains.
async fn run(flags: Dev) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signals().map_err(Failure::Runtime)?;
    let started = tokio::select! {
        biased;
        // Nothing to drain before start-up is complete.
        () = shutdown.draining() => return Ok(()),
        started = Stack::start(&flags) => started?,
    };
    started.serve(shutdown).await;
    Ok(())
}

/// All parts, running.
struct Stack {
    gateway: App<Requester>,
    responder: Responder,
    components: Vec<Served>,
    origins: Vec<Origin>,
}

impl Stack {
    async fn start(flags: &Dev) -> Result<Self, Failure> {
        let current = std::env::current_dir().map_err(Failure::Runtime)?;
        let mut mistakes = ConfigErrors::new();
        flags.guest.check(&mut mistakes);
        mistakes.into_result()?;
        let arguments = placement::arguments(&flags.components, &current)?;
        let configured = flags.nats_url.as_deref().map(connect_options).transpose()?;
        let is_embedded = configured.is_none();
        let (nats, nats_url) = nats(configured)?;

        let requester =
            Requester::start(Bus::connect(nats.clone()).await?, RequesterConfig::default()).await?;
        let config = Config {
            listen: vec![flags.listen],
            grace_period: GRACE_PERIOD,
            // An unknown path is a typing error, not an outage: 404 rather than 503.
            track_interest: true,
            access_log: flags.access_log(),
            ..Config::default()
        };
        let gateway = config.build_on(requester.clone()).await.map_err(Failure::Listen)?;

        let (files, origins) = read(&arguments, flags.quiet).await?;
        let placements = placement::placements(&arguments, files)?;
        let components = components(&placements, &flags.guest).await?;
        let bus = Bus::connect(nats.clone()).await?;
        connect(&components, &bus, nats.subjects()).await?;
        let responder = serve(bus, &components).await?;
        wait_for_interests(&requester, &components).await;

        if let [address, ..] = gateway.addresses()[..] {
            let lines: Vec<Line<'_>> = placements.iter().zip(&components).map(line).collect();
            Banner { address, nats_url: &nats_url, is_embedded, lines: &lines }.print(flags);
        }
        Ok(Self { gateway, responder, components, origins })
    }

    /// Serves until a signal. Then drains the gateway, the responder and the components, in this order.
    async fn serve(self, shutdown: Shutdown) {
        let Self { gateway, responder, components, origins } = self;
        let mut following = follow(origins, &components);
        let gateway = gateway.run(shutdown.clone()).await;
        // Aborts a running build.
        following.shutdown().await;
        if gateway == Drained::Cut {
            return;
        }
        let drained = async {
            responder.drain(GRACE_PERIOD).await;
            // Responses are complete; components may still run afterwards.
            let idle = async {
                for Served { service, .. } in &components {
                    service.idle().await;
                }
            };
            if timeout(GRACE_PERIOD, idle).await.is_err() {
                tracing::warn!("components were still running after the grace period");
            }
        };
        tokio::select! {
            () = drained => {}
            () = shutdown.cut_off() => {}
        }
    }
}

fn connect_options(url: &str) -> Result<ConnectOptions, Exit> {
    let mut mistakes = ConfigErrors::new();
    let options = ConnectOptions::new(url).map(ConnectOptions::url_credentials);
    let options = options.map_err(|error| mistakes.push(format!("--nats-url: {error}")));
    mistakes.into_result().map(|()| options.unwrap_or_default())
}

/// The configured NATS, or an embedded broker; and its URLs for display, without passwords.
fn nats(configured: Option<ConnectOptions>) -> Result<(ConnectOptions, String), Failure> {
    let options = match configured {
        Some(options) => options,
        None => {
            let broker = Broker::start(h8s_broker::Config::default())?;
            let url = broker.url();
            // It ends with the process: stopped earlier, the parts that are still connected would log a disconnect.
            std::mem::forget(broker);
            connect_options(&url)?
        }
    };
    let shown = options.servers().join(",");
    Ok((options.name("h8s dev"), shown))
}

/// The components' files. Directories are built in turn: one build uses all processors.
async fn read(
    arguments: &[ComponentArgument],
    is_quiet: bool,
) -> Result<(Vec<PathBuf>, Vec<Origin>), Failure> {
    let (mut files, mut origins) = (Vec::new(), Vec::new());
    for ComponentArgument { component, .. } in arguments {
        let (file, origin) = Origin::read(component, is_quiet).await?;
        files.push(file);
        origins.push(origin);
    }
    Ok((files, origins))
}

/// Swaps components when their origins change, until it is dropped.
fn follow(origins: Vec<Origin>, components: &[Served]) -> JoinSet<()> {
    let builds = BuildLock::default();
    let pairs = origins.into_iter().zip(components);
    pairs.map(|(origin, served)| origin.follow(served.service.clone(), builds.clone())).collect()
}

/// Loads the components, each for all [`HOSTS`].
async fn components(placements: &[Placement], guest: &GuestFlags) -> Result<Vec<Served>, Failure> {
    let config = HostConfig {
        components: placements.iter().map(|placement| served_source(placement, guest)).collect(),
        cache: cache(),
        // The origins watch: a directory's file changes with its sources.
        watch: false,
        grace_period: GRACE_PERIOD,
    };
    Ok(config.build().await?)
}

fn line<'a>((placement, served): (&'a Placement, &Served)) -> Line<'a> {
    let service = &served.service;
    Line { placement, has_http: service.serves_http(), has_websockets: service.serves_websockets() }
}

fn served_source(placement: &Placement, guest: &GuestFlags) -> ServedSource {
    let Placement { path, file, name } = placement.clone();
    let mut source = ComponentSource {
        file,
        name,
        environment: Vec::new(),
        configuration: ConfigurationSource::default(),
        outgoing: OutgoingSource::default(),
        limits: Limits::default(),
    };
    guest.apply(&mut source);
    ServedSource {
        source,
        hosts: HOSTS.map(|host| Host::parse(host).expect("HOSTS are valid")).into(),
        path,
        methods: vec![MethodPattern::Any],
    }
}

/// The cache of compiled code in the user's cache directory, which `h8s-host` uses, too.
fn cache() -> Option<CodeCache> {
    let opened = CodeCache::open(CodeCache::default_directory()?);
    opened.inspect_err(|error| tracing::warn!(cause = %error, "compiled code is not cached")).ok()
}

async fn serve(bus: Bus, components: &[Served]) -> Result<Responder, Failure> {
    let mut responder = Responder::builder(bus);
    for Served { interests, service } in components {
        for interest in interests {
            responder = responder.serve(interest.clone(), service.clone());
        }
    }
    Ok(responder.start().await?)
}

/// Waits until the gateway knows the interests, so that the first request is routed as all others.
async fn wait_for_interests(requester: &Requester, components: &[Served]) {
    let knows = |interest: &Interest| {
        let pattern = interest.path.to_string();
        let path = pattern.strip_suffix('*').unwrap_or(&pattern);
        match interest.method {
            MethodPattern::WebSocket => requester.serves_websocket(&interest.host, path),
            _ => requester.serves(&interest.host, &Method::GET, path),
        }
    };
    let knows_all =
        || requester.is_ready() && components.iter().flat_map(|served| &served.interests).all(knows);
    let until = Instant::now() + INTEREST_TIMEOUT;
    while !knows_all() && Instant::now() < until {
        sleep(POLL_INTERVAL).await;
    }
}
