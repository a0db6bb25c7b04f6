//! How values are read; the errors say what would have been right.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

pub(super) fn parsed<T: FromStr>(value: &str, wanted: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{value}` is not {wanted}"))
}

pub(super) fn path(value: &str) -> Result<PathBuf, String> {
    if value.is_empty() { Err("a path must not be empty".into()) } else { Ok(value.into()) }
}

pub(super) fn within(value: &str, low: u64, high: u64) -> Result<u64, String> {
    match value.parse() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(format!("`{value}` is not a whole number from {low} to {high}")),
    }
}

pub(super) fn choice<T: Copy>(value: &str, words: &[(&str, T)]) -> Result<T, String> {
    let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
    words
        .iter()
        .find(|(word, _)| *word == value)
        .map(|(_, meaning)| *meaning)
        .ok_or_else(|| format!("`{value}` is not {}", known()))
}

pub(super) fn prefix(value: &str) -> Result<[u8; 2], String> {
    match value.split_once('.').map(|(a, b)| (a, b.parse::<u8>())) {
        Some(("127", Ok(second @ 1..=254))) => Ok([127, second]),
        _ => Err(format!("`{value}` is not a prefix from 127.1 to 127.254")),
    }
}

pub(super) fn log_filter(value: &str) -> Result<String, String> {
    match value.parse::<tracing_subscriber::EnvFilter>() {
        Ok(_) => Ok(value.into()),
        Err(error) => Err(format!("`{value}` is no log filter: {error}")),
    }
}

/// `None` for `off`, `false` or nothing.
pub(super) fn maybe<T>(
    value: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    match value {
        "" | "off" | "false" => Ok(None),
        other => read(other).map(Some),
    }
}

/// An address of this machine only, with a port.
pub(super) fn loopback(value: &str) -> Result<SocketAddr, String> {
    let addr: SocketAddr = parsed(value, "a loopback address with a port, such as 127.0.0.1:4222")?;
    match addr.ip().is_loopback() {
        true => Ok(addr),
        false => Err(format!("`{value}` is no loopback address: the bus is for this machine only")),
    }
}

/// What there is, or `off`.
pub(super) fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "off".into(), |value| value.to_string())
}

/// A word that is a name.
pub(super) fn word(value: &str) -> Result<String, String> {
    match value.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        true => Ok(value.into()),
        false => Err(format!("`{value}` is not a name")),
    }
}

/// Subnets, divided by commas; a single address is a subnet too. Nothing is none.
pub(super) fn networks(value: &str) -> Result<Vec<ipnet::Ipv4Net>, String> {
    let one = |part: &str| {
        let address = part.parse::<std::net::Ipv4Addr>().map(ipnet::Ipv4Net::from);
        let network = address.or_else(|_| part.parse());
        network.map_err(|_| format!("`{part}` is not a subnet such as 10.0.0.0/24"))
    };
    value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(one).collect()
}

/// The list as [`networks`] reads it.
pub(super) fn list_of(networks: &[ipnet::Ipv4Net]) -> String {
    networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
