//! The two NATS servers that h8s runs on behind one type, so that one suite covers both.

use std::net::SocketAddr;

use h8s_broker::{Broker, Config};

use super::nats_server::NatsServer;
use super::reservation::Reservation;

/// A running NATS server, empty, on loopback.
#[derive(Debug)]
pub enum Bus {
    /// A `nats-server` process.
    Real(Box<NatsServer>),
    /// The embedded broker, in this process.
    Embedded(Embedded),
}

/// The embedded broker, and its address, which survives a restart.
pub struct Embedded {
    address: SocketAddr,
    /// `None` while stopped.
    broker: Option<Broker>,
    /// Reserves the port while the broker is stopped.
    reservation: Option<Reservation>,
}

impl Bus {
    /// A `nats-server` with its own defaults.
    ///
    /// # Panics
    ///
    /// As [`NatsServer::start`].
    pub async fn real() -> Self {
        Self::Real(Box::new(NatsServer::start().await))
    }

    /// An embedded broker with its own defaults.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn embedded() -> Self {
        let broker = Broker::start(Config::default()).expect("a broker starts on a free port");
        Self::Embedded(Embedded { address: broker.address(), broker: Some(broker), reservation: None })
    }

    /// One of each.
    ///
    /// # Panics
    ///
    /// As the two.
    pub async fn both() -> [Self; 2] {
        [Self::embedded().await, Self::real().await]
    }

    /// What clients connect to: `nats://127.0.0.1:…`.
    pub fn url(&self) -> String {
        match self {
            Self::Real(server) => server.url(),
            Self::Embedded(embedded) => format!("nats://{}", embedded.address),
        }
    }

    /// Stops it: clients are disconnected, and refused until [`restart`](Self::restart).
    pub async fn stop(&mut self) {
        match self {
            Self::Real(server) => server.kill().await,
            Self::Embedded(embedded) => embedded.stop().await,
        }
    }

    /// Starts it again at the same address, without state; stops it first if it is running.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn restart(&mut self) {
        match self {
            Self::Real(server) => server.restart().await,
            Self::Embedded(embedded) => embedded.restart().await,
        }
    }
}

impl Embedded {
    async fn stop(&mut self) {
        if let Some(broker) = self.broker.take() {
            broker.shutdown().await;
            self.reservation = Reservation::of(self.address.port());
        }
    }

    async fn restart(&mut self) {
        self.stop().await;
        let config = Config { listen: self.address, ..Config::default() };
        self.broker = Some(Broker::start(config).expect("a broker starts at its former address"));
        self.reservation = None;
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Makes two tests of each function, `embedded::name` and `real::name`, one for each bus. `real` needs
/// [`Tool::NatsServer`](crate::Tool::NatsServer).
///
/// ```
/// h8s_test_support::over_both_buses! {
///     async fn a_client_connects(bus) {
///         assert!(bus.url().starts_with("nats://127.0.0.1:"));
///     }
/// }
/// ```
///
/// Once per module. `mut bus` is allowed.
#[macro_export]
macro_rules! over_both_buses {
    ($($(#[$meta:meta])* async fn $name:ident($($bus:ident)+) $body:block)+) => {
        mod embedded { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name($crate::Bus::embedded().await).await; }
        )+ }
        mod real { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::needs!($crate::Tool::NatsServer);
                super::$name($crate::Bus::real().await).await;
            }
        )+ }
        $($(#[$meta])* async fn $name($($bus)+: $crate::Bus) $body)+
    };
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use crate::soon;

    over_both_buses! {
        async fn a_message_is_delivered(bus) {
            let client = async_nats::connect(bus.url()).await.unwrap();
            let mut subscriber = client.subscribe("a.*").await.unwrap();

            client.publish("a.b", "c".into()).await.unwrap();

            assert_eq!(soon(subscriber.next()).await.unwrap().payload, "c");
        }

        async fn a_stopped_bus_refuses_clients_and_restarts_at_the_same_address(mut bus) {
            let url = bus.url();

            bus.stop().await;
            assert!(async_nats::connect(&url).await.is_err());
            bus.restart().await;

            assert_eq!(bus.url(), url);
            soon(async_nats::connect(&url)).await.unwrap();
        }
    }
}
