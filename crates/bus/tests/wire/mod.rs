//! The broker as stock clients see it: lines on real sockets.

mod access;
mod hostile;
mod in_process;
mod protocol;
mod script;
mod socket_file;
mod streams;

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use morgana_bus::broker::{Broker, BrokerConfig, BrokerStats};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker on a free port that does not ping by itself.
fn config() -> BrokerConfig {
    let mut config = BrokerConfig::new("wire");
    config.tcp = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    config.limits.first_ping = Duration::from_secs(3600);
    config
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn stats(broker: &Broker) -> BrokerStats {
    block_on(broker.stats()).unwrap()
}

/// Waits until the broker's numbers are as wanted, and returns them.
fn wait_for(broker: &Broker, wanted: impl Fn(&BrokerStats) -> bool) -> BrokerStats {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stats = stats(broker);
        if wanted(&stats) {
            return stats;
        }
        assert!(Instant::now() < deadline, "never came so far: {stats:?}");
        std::thread::yield_now();
    }
}
