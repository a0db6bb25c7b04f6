//! `morgana bus sub`, `pub` and `req`.

use std::{io::Write, time::Duration};

use anyhow::bail;
use bus::client::{Client, Message, Subscriber};
use bus::proto::HeaderBuilder;

use super::{
    explained, seconds,
    show::{self, Form},
};
use crate::cli::render;

/// How messages are printed.
#[derive(clap::Args)]
struct Printing {
    /// Print each message as one line of JSON
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Print bodies alone, byte for byte
    #[arg(long)]
    raw: bool,
    /// Print headers too
    #[arg(long = "headers")]
    with_headers: bool,
}

impl Printing {
    fn form(&self) -> Form {
        match (self.json, self.raw) {
            (true, _) => Form::Json,
            (false, true) => Form::Raw,
            (false, false) => Form::Line,
        }
    }

    fn print(&self, number: u64, message: &Message) -> anyhow::Result<()> {
        match self.form() {
            Form::Json => render::line(&show::json(message).to_string()),
            Form::Line => render::line(&show::line(number, message, self.with_headers)),
            Form::Raw => {
                let mut out = std::io::stdout().lock();
                out.write_all(&message.body)?;
                Ok(out.flush()?)
            }
        }
    }
}

/// Print messages as they come.
#[derive(clap::Args)]
pub(super) struct Sub {
    /// Subjects to follow: `*` is one token, `>` the rest
    filter: String,
    /// Share the messages with the other members of this group
    #[arg(long, value_name = "GROUP")]
    queue: Option<String>,
    /// End after so many messages
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    printing: Printing,
}

impl Sub {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        let mut messages = client.subscribe(&self.filter, self.queue.as_deref()).await?;
        if let Some(count) = self.count {
            messages.limit(count)?;
        }
        if self.printing.form() == Form::Line {
            eprintln!("listening on {}", show::escaped(self.filter.as_bytes()));
        }
        let (mut printed, mut dropped) = (0, 0);
        while let Some(message) = messages.next().await {
            printed += 1;
            self.printing.print(printed, &message)?;
            tell_lost(&messages, &mut dropped);
        }
        match (self.count, client.why_closed()) {
            (Some(count), _) if printed >= count => Ok(()),
            (_, Some(why)) => Err(why.into()),
            (_, None) => bail!("the subscription ended"),
        }
    }
}

fn tell_lost(messages: &Subscriber, told: &mut u64) {
    let dropped = messages.dropped();
    if dropped > *told {
        eprintln!("-- {} messages lost: printing is slower than the bus", dropped - *told);
        *told = dropped;
    }
}

/// Publish a message.
#[derive(clap::Args)]
pub(super) struct Pub {
    /// Where to
    subject: String,
    /// What; `-` reads standard input
    #[arg(default_value = "")]
    body: String,
    /// A header, `-H key:value` (may be repeated)
    #[arg(short = 'H', long = "header", value_name = "KEY:VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Where an answer is wanted
    #[arg(long, value_name = "SUBJECT")]
    reply: Option<String>,
    /// So many times
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1)]
    count: u64,
}

impl Pub {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        let (body, block) = (read_body(&self.body)?, block(&self.headers));
        for _ in 0..self.count {
            client.publish(&self.subject, self.reply.as_deref(), &block, &body).await?;
        }
        client.flush().await?;
        let errors = client.take_errors();
        if let Some(error) = errors.first() {
            bail!("the bus refused it: {}", show::escaped(error.as_bytes()));
        }
        client.close().await;
        Ok(())
    }
}

/// Ask for an answer and print it.
#[derive(clap::Args)]
pub(super) struct Req {
    /// Whom to ask
    subject: String,
    /// What; `-` reads standard input
    #[arg(default_value = "")]
    body: String,
    /// A header, `-H key:value` (may be repeated)
    #[arg(short = 'H', long = "header", value_name = "KEY:VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// How many seconds to wait
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
    #[command(flatten)]
    printing: Printing,
}

impl Req {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        let (body, block) = (read_body(&self.body)?, block(&self.headers));
        let answer = client.request(&self.subject, &block, &body, self.timeout).await;
        let answer = answer.map_err(|error| explained(error, &self.subject))?;
        self.printing.print(1, &answer)
    }
}

fn block(headers: &[(String, String)]) -> Vec<u8> {
    if headers.is_empty() {
        return Vec::new();
    }
    let add = |block: HeaderBuilder, (key, value): &(String, String)| block.add(key, value);
    headers.iter().fold(HeaderBuilder::new(), add).finish()
}

fn read_body(body: &str) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    if body != "-" {
        return Ok(body.as_bytes().to_vec());
    }
    // A little more than any server takes, so that too much is told and not cut.
    let (mut bytes, most) = (Vec::new(), (64 << 20) + 1);
    std::io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!("`{text}` is not KEY:VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_key_and_a_value() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(header("Trace: 7"), pair("Trace", "7"));
        assert_eq!(header("At:12:30"), pair("At", "12:30"));
        assert_eq!(header("Empty:"), pair("Empty", ""));
        assert!(header("none").is_err() && header(":x").is_err());
    }
}
