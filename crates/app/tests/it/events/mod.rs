//! Lifecycle events, from the journal to who reads the stream: embedded and on nats-server.

mod embedded;
mod failures;
mod foreign;
mod formats;
mod killed;
mod outage;
mod programs;
mod proxy;
mod python;
mod reader;
mod reload;
mod routes;
mod server;
mod world;
