//! Asking and answering over any NATS server.
//!
//! `cargo run -p morgana-bus --example request_reply [nats://host:4222]`

use std::time::Duration;

use morgana_bus::client::{Client, Options, RequestError, Subscriber};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "nats://127.0.0.1:4222".into());
    let client = Client::connect(Options::new(url.parse()?)).await?;

    let questions = client.subscribe("example.shout", Some("shouters")).await?;
    let shouter = tokio::spawn(shout(client.clone(), questions));
    let limit = Duration::from_secs(1);
    let answer = client.request("example.shout", &[], b"hello", limit).await?;
    println!("{}", String::from_utf8_lossy(&answer.body));

    match client.request("example.nobody", &[], b"", limit).await {
        Err(RequestError::NoResponders(subject)) => println!("nobody on {subject}: known at once"),
        other => println!("unexpected: {other:?}"),
    }
    client.close().await;
    shouter.await?
}

/// Answers until the connection ends.
async fn shout(client: Client, mut questions: Subscriber) -> Result<(), Failure> {
    while let Some(question) = questions.next().await {
        if let Some(reply) = &question.reply {
            let loud = question.body.to_ascii_uppercase();
            client.publish(std::str::from_utf8(reply)?, None, &[], &loud).await?;
        }
    }
    Ok(())
}
