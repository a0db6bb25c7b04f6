//! A work queue on disk, without a broker: orders are stored, and a durable consumer works them
//! off. Stop it in the middle and start it again: what was acknowledged is not worked twice.
//!
//! `cargo run -p morgana-bus --example streams -- [DIRECTORY]`

use std::{error::Error, time::Duration};

use model::Ambient;
use morgana_bus::stream::{
    ConsumerConfig, Publish, Retention, StreamConfig, Streams, StreamsConfig,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "orders.streams".into());
    let streams = Streams::open(&dir, StreamsConfig::default(), Ambient::system())?;
    let orders = StreamConfig::new("ORDERS".parse()?, vec!["orders.*".into()]);
    streams.ensure(StreamConfig { retention: Retention::WorkQueue, ..orders }).await?;

    for number in 0..10 {
        let order = Publish {
            subject: "orders.new".into(),
            body: format!("order {number}").into(),
            ..Publish::default()
        };
        // Answered once it is on disk; many publishers share one sync.
        let ack = streams.publish(order).await?;
        println!("stored as {}", ack.seq);
    }

    let worker = streams.consumer("ORDERS", ConsumerConfig::durable("worker")).await?;
    for order in worker.fetch(10, Duration::from_secs(1)).await? {
        println!("{}: {}", order.seq, String::from_utf8_lossy(&order.body));
        worker.ack([order.seq]).await?;
    }
    streams.close().await;
    Ok(())
}
