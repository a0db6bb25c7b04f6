//! What is measured: names, figures and goals, in the order of the table.

use std::io;
use std::time::Duration;

use crate::server::{Server, Sync};
use crate::{memory, requests, streams, traffic};

/// What a figure should be.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Better {
    /// The more, the better.
    More,
    /// The less, the better.
    Less,
    /// Says what happened; no ratio.
    Neither,
}

/// One figure that a case yields.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    /// The ratio to the faster nats-server that ours should reach: at least, or at most where
    /// less is better.
    pub(crate) goal: Option<f64>,
}

/// How a case runs on a server that was started for it.
type Measure = Box<dyn Fn(&Server, Duration) -> io::Result<Vec<f64>>>;

/// One thing that is measured, on a server of its own.
pub(crate) struct Case {
    pub(crate) name: String,
    /// How a nats-server syncs its streams in this case.
    pub(crate) sync: Sync,
    pub(crate) figures: Vec<Figure>,
    pub(crate) measure: Measure,
}

const fn more(unit: &'static str, goal: Option<f64>) -> Figure {
    Figure { unit, better: Better::More, goal }
}

const fn less(unit: &'static str, goal: Option<f64>) -> Figure {
    Figure { unit, better: Better::Less, goal }
}

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for (publishers, subscribers, goal) in
        [(1, 0, None), (1, 1, Some(2.0)), (1, 10, Some(2.0)), (1, 50, None), (4, 4, None)]
    {
        for size in [16, 128, 1024] {
            let shape = traffic::Shape { publishers, subscribers, size };
            cases.push(one_subject(shape, goal));
        }
    }
    cases.push(case(
        "10,000 filters, 50,000 subjects, 128 B",
        &[more("deliveries/s", Some(3.0))],
        |server, time| Ok(vec![traffic::many_subjects(server, time)?]),
    ));
    cases.extend(request_cases());
    cases.extend(stream_cases());
    cases.extend(memory_cases());
    cases
}

fn case(
    name: &str,
    figures: &[Figure],
    measure: impl Fn(&Server, Duration) -> io::Result<Vec<f64>> + 'static,
) -> Case {
    let (name, figures) = (name.to_owned(), figures.to_vec());
    Case { name, sync: Sync::Default, figures, measure: Box::new(measure) }
}

fn one_subject(shape: traffic::Shape, goal: Option<f64>) -> Case {
    let traffic::Shape { publishers, subscribers, size } = shape;
    let (name, unit) = match subscribers {
        0 => (format!("publish, nobody listens, {size} B"), "publishes/s"),
        _ => (format!("{publishers} to {subscribers}, {size} B"), "deliveries/s"),
    };
    case(&name, &[more(unit, goal)], move |server, time| {
        Ok(vec![traffic::one_subject(server, shape, time)?])
    })
}

fn request_cases() -> Vec<Case> {
    let figures = [less("µs p50", None), less("µs p99", Some(1.0))];
    vec![
        case("request, one after the other", &figures, requests::in_turn),
        case("request, 1,000 a second", &figures, requests::a_thousand),
    ]
}

fn stream_cases() -> Vec<Case> {
    let in_turn = [more("acks/s", None), less("µs p50", None), less("µs p99", None)];
    let window = |goal| [more("acks/s", Some(goal))];
    let windowed = |server: &Server, time| streams::windowed(server, 256, time);
    let always = |case: Case| Case {
        name: format!("{}; theirs synced always", case.name),
        sync: Sync::Always,
        ..case
    };
    vec![
        case("durable publish, one after the other", &in_turn, streams::in_turn),
        case("durable publish, window 256", &window(1.0), windowed),
        always(case("durable publish, one after the other", &in_turn, streams::in_turn)),
        always(case("durable publish, window 256", &window(10.0), windowed)),
        case("pull consumer, fetch 256 and ack each", &[more("messages/s", None)], |server, _| {
            streams::pull(server)
        }),
    ]
}

fn memory_cases() -> Vec<Case> {
    let closed = Figure { unit: "closed (1) or kept (0)", better: Better::Neither, goal: None };
    vec![
        case(
            "memory, idle",
            &[less("MiB", None), less("KiB a connection of 1,000", None)],
            |server, _| memory::idle(server),
        ),
        case(
            "1 GB past a subscriber that never reads",
            &[less("MiB at most", None), closed],
            |server, _| memory::wedged(server),
        ),
    ]
}
