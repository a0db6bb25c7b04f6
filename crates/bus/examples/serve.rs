//! A broker on loopback for anybody: `cargo run --example serve -- [port] [socket file]`.
//!
//! Prints its address, and its numbers every ten seconds; ends with its standard input.

use std::{
    error::Error,
    io::Read,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use morgana_bus::broker::{Broker, BrokerConfig, UnixListenAt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().map_or(Ok(4222), |port| port.parse())?;
    let mut config = BrokerConfig::new("example");
    config.tcp = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    config.unix = arguments.next().map(UnixListenAt::new);
    let broker = Broker::start(config)?;
    if let Some(addr) = broker.tcp_addr() {
        println!("listening on {addr}");
    }
    let mut ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    while tokio::time::timeout(Duration::from_secs(10), &mut ended).await.is_err() {
        let Some(stats) = broker.stats().await else { break };
        println!("{} clients, {:?}", stats.connections, stats.traffic);
    }
    broker.stop().await;
    Ok(())
}
