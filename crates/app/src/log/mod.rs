//! Structured logs on standard error, and their warnings for the bus (`lines.rs`). Field names
//! that more than one place uses: `topology.id`, `decky.id`, `mutation.id`, `session.id`,
//! `peer.addr`, `worker`, `sink`, `error`.

mod lines;

use std::io::IsTerminal;

use tracing_subscriber::{
    EnvFilter, Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt,
};

pub use self::lines::{LogLines, tell};
use crate::config::{Config, LogFormat};

/// Starts logging for the life of the process; answers the lines that others should hear of.
/// A second call changes nothing, and its lines stay empty.
pub fn start(config: &Config) -> LogLines {
    let filter = EnvFilter::new(&config.log);
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let format = match config.log_format {
        LogFormat::Text => {
            let is_terminal = std::io::stderr().is_terminal();
            format.with_target(false).with_ansi(is_terminal).boxed()
        }
        LogFormat::Json => format.json().flatten_event(true).boxed(),
    };
    let (layer, lines) = lines::channel();
    let registry = tracing_subscriber::registry()
        .with(format.with_filter(filter))
        .with(layer.with_filter(LevelFilter::WARN));
    drop(registry.try_init());
    lines
}
