//! `morgana status`.

use super::render::{self, cell};
use crate::client::Client;

/// Show what runs.
#[derive(clap::Args)]
pub(super) struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        let status = client.get("/api/v1/status").await?;
        if self.json {
            return render::json(&status);
        }
        for (field, value) in flatten("", &status) {
            render::line(&format!("{field:<32} {value}"))?;
        }
        render::line("")?;
        let topologies = client.get("/api/v1/topologies").await?;
        render::table(
            &["TOPOLOGY", "STATUS", "VERSION", "REASON"],
            render::items(&topologies).iter().map(|t| {
                vec![cell(t, "name"), cell(t, "status"), cell(t, "version"), cell(t, "reason")]
            }),
        )
    }
}

/// Nested fields with dotted names, one a line.
fn flatten(prefix: &str, value: &serde_json::Value) -> Vec<(String, String)> {
    let Some(fields) = value.as_object() else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (name, field) in fields {
        let full = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if field.is_object() {
            lines.extend(flatten(&full, field));
        } else {
            lines.push((full, cell(value, name)));
        }
    }
    lines
}
