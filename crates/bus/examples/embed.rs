//! A broker in this process: a program's own events, heard by a NATS client on its UNIX socket.
//!
//! `cargo run -p morgana-bus --example embed`

use model::{Ambient, Event, Payload, SystemLog};
use morgana_bus::{
    Bus,
    broker::{Broker, BrokerConfig, UnixListenAt},
    client::{Client, Options},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join(format!("morgana-embed-{}.sock", std::process::id()));
    let unix = Some(UnixListenAt::new(&path));
    let broker = Broker::start(BrokerConfig { unix, ..BrokerConfig::new("example") })?;
    let bus = Bus::serving("example", &broker);

    let client = Client::connect(Options::new(path.display().to_string().parse()?)).await?;
    let mut logs = client.subscribe("system.log", None).await?;

    let line = SystemLog::new("embed", "info", "hello");
    bus.publish(&Event::new(&Ambient::system(), Payload::SystemLog(line)));
    if let Some(message) = logs.next().await {
        println!("{}: {}", message.subject_text(), String::from_utf8_lossy(&message.body));
    }

    client.close().await;
    bus.close().await;
    broker.stop().await;
    Ok(())
}
