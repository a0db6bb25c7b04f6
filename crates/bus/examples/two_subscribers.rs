//! Two subscribers on one bus: one that keeps up, one that does not and is told what it missed.
//!
//! `cargo run -p morgana-bus --example two_subscribers`

use model::{Ambient, Event, Payload, SubjectFilter, WorkerHealth};
use morgana_bus::{Bus, Delivery, OnLag, Subscription};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ambient = Ambient::system();
    let bus = Bus::embedded("example");
    let filter: SubjectFilter = "system.*.health".parse()?;
    let quick = bus.subscribe(filter.clone(), 16, OnLag::Disconnect).await;
    let slow = bus.subscribe(filter, 3, OnLag::DropNewest).await;

    for beat in 1..=10 {
        let figures = [("beat".to_owned(), beat)].into();
        let health = WorkerHealth { worker: "mutator".into(), ts: ambient.now(), figures };
        bus.publish(&Event::new(&ambient, Payload::WorkerHealth(health)));
    }
    bus.close().await;

    print("quick", quick).await;
    print("slow", slow).await;
    println!("{:?}", bus.health());
    Ok(())
}

async fn print(who: &str, mut subscription: Subscription) {
    while let Some(delivery) = subscription.next().await {
        match delivery {
            Delivery::Event(entry) => println!("{who}: {} {}", entry.topic, entry.payload),
            Delivery::Gap { missed } => println!("{who}: missed {missed}"),
        }
    }
}
