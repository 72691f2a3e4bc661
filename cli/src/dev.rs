//! `h8s dev`: broker, gateway and host in one process; start, serve (and swap what changes), drain.
//!
//! The three parts talk over NATS as they do when they run apart: what works here works there. The gateway's socket
//! is bound first, so that a port that is taken is told before anything is built.

use std::path::PathBuf;
use std::time::Duration;

use h8s_broker::Broker;
use h8s_host::{
    CodeCache, ComponentSource, ConfigurationSource, GuestFlags, HostConfig, Limits, OutgoingSource, Served,
    ServedSource, connect,
};
use h8s_ingress::{App, Config, Drained, Shutdown};
use h8s_nats::{Bus, ConnectOptions, Requester, RequesterConfig, Responder};
use h8s_settings::{Exit, Mistakes};
use h8s_wire::{Host, Interest, MethodPattern};
use http::Method;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::banner::{Banner, Line};
use crate::failure::Failure;
use crate::flags::Dev;
use crate::origin::{Builds, Origin};
use crate::placement::{self, Placement, Wanted};

/// The names that this machine has for itself. Others get 404: nobody serves them.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
/// A developer who stops it waits for nothing longer than this; production's default is 25 s.
const GRACE_PERIOD: Duration = Duration::from_secs(5);
/// How long the gateway may take to hear of the components; a tenth of that is usual. Later it still will.
const HEARING_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two looks at whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Serves until a signal, and drains then.
///
/// # Errors
/// See [`Failure`].
pub(crate) async fn run(flags: Dev) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signals().map_err(Failure::Runtime)?;
    let started = tokio::select! {
        biased;
        // Nobody has been served yet: there is nothing to drain.
        () = shutdown.draining() => return Ok(()),
        started = Stack::start(&flags) => started?,
    };
    started.serve(shutdown).await;
    Ok(())
}

/// All parts, at work.
struct Stack {
    gateway: App<Requester>,
    responder: Responder,
    components: Vec<Served>,
    origins: Vec<Origin>,
}

impl Stack {
    async fn start(flags: &Dev) -> Result<Self, Failure> {
        let current = std::env::current_dir().map_err(Failure::Runtime)?;
        let mut mistakes = Mistakes::new();
        flags.guest.check(&mut mistakes);
        mistakes.into_result()?;
        let wanted = placement::wanted(&flags.components, &current)?;
        let given = flags.nats_url.as_deref().map(nats_config).transpose()?;
        let is_embedded = given.is_none();
        let (nats, nats_url) = bus(given)?;

        let requester =
            Requester::start(Bus::connect(nats.clone()).await?, RequesterConfig::default()).await?;
        let config = Config {
            listen: vec![flags.listen],
            grace_period: GRACE_PERIOD,
            // What is not served here is a slip in an address, and not an outage: 404.
            track_interest: true,
            access_log: flags.access_log(),
            ..Config::default()
        };
        let gateway = config.build_on(requester.clone()).await.map_err(Failure::Listen)?;

        let (files, origins) = read(&wanted, flags.quiet).await?;
        let placements = placement::placements(&wanted, files)?;
        let components = components(&placements, &flags.guest).await?;
        let link = Bus::connect(nats.clone()).await?;
        connect(&components, &link, nats.subjects()).await?;
        let responder = serve(link, &components).await?;
        heard(&requester, &components).await;

        if let [address, ..] = gateway.addresses()[..] {
            let lines: Vec<Line<'_>> = placements.iter().zip(&components).map(line).collect();
            Banner { address, nats_url: &nats_url, is_embedded, lines: &lines }.print(flags);
        }
        Ok(Self { gateway, responder, components, origins })
    }

    /// Until a signal; then no new requests are taken, and those under way end, before what they need ends.
    async fn serve(self, shutdown: Shutdown) {
        let Self { gateway, responder, components, origins } = self;
        let mut following = follow(origins, &components);
        let gateway = gateway.run(shutdown.clone()).await;
        // A build under way ends with it.
        following.shutdown().await;
        if gateway == Drained::Cut {
            return;
        }
        let drained = async {
            responder.drain(GRACE_PERIOD).await;
            // Answers are out; some components may still be busy with what they do afterwards.
            let idle = async {
                for Served { service, .. } in &components {
                    service.idle().await;
                }
            };
            if timeout(GRACE_PERIOD, idle).await.is_err() {
                tracing::warn!("components were still busy after their last answer");
            }
        };
        tokio::select! {
            () = drained => {}
            () = shutdown.cut_off() => {}
        }
    }
}

fn nats_config(url: &str) -> Result<ConnectOptions, Exit> {
    let mut mistakes = Mistakes::new();
    let options = ConnectOptions::new(url).map(ConnectOptions::url_credentials);
    let options = options.map_err(|error| mistakes.push(format!("--nats-url: {error}")));
    mistakes.into_result().map(|()| options.unwrap_or_default())
}

/// The NATS that was asked for, or one of our own; and how to call it.
fn bus(given: Option<ConnectOptions>) -> Result<(ConnectOptions, String), Failure> {
    let config = match given {
        Some(config) => config,
        None => {
            let broker = Broker::start(h8s_broker::Config::default())?;
            let url = broker.url();
            // It ends with the process: whatever is still connected would complain that NATS is away.
            std::mem::forget(broker);
            nats_config(&url)?
        }
    };
    let shown = config.servers().join(",");
    Ok((config.name("h8s dev"), shown))
}

/// Every component's file: directories are built, one after the other, as each uses all processors.
async fn read(wanted: &[Wanted], is_quiet: bool) -> Result<(Vec<PathBuf>, Vec<Origin>), Failure> {
    let (mut files, mut origins) = (Vec::new(), Vec::new());
    for Wanted { component, .. } in wanted {
        let (file, origin) = Origin::read(component, is_quiet).await?;
        files.push(file);
        origins.push(origin);
    }
    Ok((files, origins))
}

/// Swaps components when what they come from changes, until it is dropped.
fn follow(origins: Vec<Origin>, components: &[Served]) -> JoinSet<()> {
    let builds = Builds::default();
    let pairs = origins.into_iter().zip(components);
    pairs.map(|(origin, served)| origin.follow(served.service.clone(), builds.clone())).collect()
}

/// Loads the components, each for all names of this machine.
async fn components(placements: &[Placement], guest: &GuestFlags) -> Result<Vec<Served>, Failure> {
    let config = HostConfig {
        components: placements.iter().map(|placement| served_source(placement, guest)).collect(),
        cache: cache(),
        // By their origins: a directory's file changes with its sources.
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
        hosts: HOSTS.map(|host| Host::parse(host).expect("names of this machine are hosts")).into(),
        path,
        methods: vec![MethodPattern::Any],
    }
}

/// The same compiled code as `h8s-host`'s, in the user's cache directory.
fn cache() -> Option<CodeCache> {
    let opened = CodeCache::open(CodeCache::default_directory()?);
    opened.inspect_err(|error| tracing::warn!(cause = %error, "compiling at every start")).ok()
}

async fn serve(link: Bus, components: &[Served]) -> Result<Responder, Failure> {
    let mut responder = Responder::builder(link);
    for Served { interests, service } in components {
        for interest in interests {
            responder = responder.serve(interest.clone(), service.clone());
        }
    }
    Ok(responder.start().await?)
}

/// Waits until the gateway knows what is served, so that the first request goes the way of all others.
async fn heard(requester: &Requester, components: &[Served]) {
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
    let until = Instant::now() + HEARING_TIMEOUT;
    while !knows_all() && Instant::now() < until {
        sleep(LOOK_AGAIN).await;
    }
}
