//! The table: a line for each figure, a column for each server, ours against the better other.

use std::fmt::Write as _;

use crate::cases::{Better, Case, Figure};
use crate::server::Rival;

/// What was measured of one case: for each rival, for each round, the figures.
pub(crate) struct Measured {
    rounds: Vec<Vec<Vec<f64>>>,
}

impl Measured {
    /// Nothing yet.
    pub(crate) fn new(rivals: usize) -> Self {
        Self { rounds: vec![Vec::new(); rivals] }
    }

    /// Adds a round of one rival.
    pub(crate) fn add(&mut self, rival: usize, figures: Vec<f64>) {
        self.rounds[rival].push(figures);
    }

    /// The median of one figure of one rival.
    fn median(&self, rival: usize, figure: usize) -> Option<f64> {
        let rounds = self.rounds[rival].iter();
        let mut values: Vec<f64> = rounds.filter_map(|round| round.get(figure).copied()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}

/// The table as Markdown.
pub(crate) fn table(rivals: &[Rival], cases: &[(Case, Measured)]) -> String {
    let labels: Vec<&str> = rivals.iter().map(|rival| rival.label.as_str()).collect();
    let mut out = format!("| | | {} | ours / theirs | goal |\n", labels.join(" | "));
    let _ = writeln!(out, "|---|---|{}---:|---:|", "---:|".repeat(rivals.len()));
    for (case, measured) in cases {
        for (index, figure) in case.figures.iter().enumerate() {
            let medians: Vec<Option<f64>> =
                (0..rivals.len()).map(|rival| measured.median(rival, index)).collect();
            out.push_str(&line(case, *figure, rivals, &medians));
        }
    }
    out
}

fn line(case: &Case, figure: Figure, rivals: &[Rival], medians: &[Option<f64>]) -> String {
    let cells: Vec<String> = medians.iter().map(|value| number(*value)).collect();
    let of = |ours: bool| {
        let both = rivals.iter().zip(medians);
        both.filter(move |(rival, _)| rival.ours == ours).filter_map(|(_, value)| *value)
    };
    let best = match figure.better {
        Better::More => of(false).reduce(f64::max),
        Better::Less => of(false).reduce(f64::min),
        Better::Neither => None,
    };
    let ratio = of(true).next().zip(best).map(|(ours, best)| ours / best);
    let (ratio, goal) = (verdict(figure, ratio), goal(figure));
    format!("| {} | {} | {} | {ratio} | {goal} |\n", case.name, figure.unit, cells.join(" | "))
}

fn goal(figure: Figure) -> String {
    match (figure.goal, figure.better) {
        (None, _) => String::new(),
        (Some(goal), Better::Less) => format!("at most {goal}"),
        (Some(goal), _) => format!("at least {goal}"),
    }
}

fn verdict(figure: Figure, ratio: Option<f64>) -> String {
    let Some(ratio) = ratio else { return String::new() };
    let reached = match figure.better {
        Better::Less => figure.goal.is_none_or(|goal| ratio <= goal),
        Better::More | Better::Neither => figure.goal.is_none_or(|goal| ratio >= goal),
    };
    if reached { format!("{ratio:.2}") } else { format!("**{ratio:.2}: missed**") }
}

/// Three digits that mean something, with a unit of size.
fn number(value: Option<f64>) -> String {
    match value {
        None => "–".into(),
        Some(value) if value >= 1e6 => format!("{:.2} M", value / 1e6),
        Some(value) if value >= 1e4 => format!("{:.1} k", value / 1e3),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.1}"),
    }
}
