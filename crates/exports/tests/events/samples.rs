//! Entries of the journal: for each type of event one with all that it may say, and one with as
//! little as it can.

use model::{
    Ambient, AttackerObserved, AttackerScored, CredentialCaptured, Event, EventContext,
    IdentityFormed, JournalEntry, MutationEvent, MutationState, ObservationLinked, Op, Payload,
    ScoreLevel, Service, SessionEnded, SessionStarted, StatusChanged, SystemLog, Timestamp,
    TopologyStatus, Truncation,
    hub::{
        DecisionResolved, DomainGoalActivated, RepoRegistered, TaskStale, TaskState,
        TaskSweepCompleted, WorkstreamCompleted,
    },
};

pub(crate) const SOURCE: &str = "urn:morgana:0b4d7a52-6f0e-4f4e-9d6e-1f2f3a4b5c6d";

/// An entry, and what it is sent as.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) entry: JournalEntry,
}

/// A clock that stands and chance that repeats, so that documents can hold what comes out.
fn ambient() -> Ambient {
    Ambient::seeded(11, Timestamp::from_micros(1_767_225_600_000_000))
}

pub(crate) fn samples() -> Vec<Sample> {
    let ambient = ambient();
    let mut all = hub(&ambient);
    all.extend(attackers(&ambient));
    all.extend(network(&ambient));
    let entry = |(seq, (name, payload)): (u64, (&'static str, Payload))| {
        let event = Event::new(&ambient, payload).within(context(seq));
        Sample { name, entry: event.to_entry(Some(seq)) }
    };
    (1..).zip(all).map(entry).collect()
}

/// Every other event comes from a request with a trace.
fn context(seq: u64) -> EventContext {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    match seq % 2 {
        1 => EventContext::of("ada").traced(Some(trace)),
        _ => EventContext::default(),
    }
}

type Named = (&'static str, Payload);

fn hub(ambient: &Ambient) -> Vec<Named> {
    let slug = |text: &str| text.parse().unwrap();
    let title = |text: &str| text.parse().unwrap();
    let repo = |full: bool| RepoRegistered {
        repo_id: ambient.id(),
        repo_slug: slug("web-shop"),
        domain_slug: slug("sales"),
        remote_url: full.then(|| "https://git.example/web-shop".parse().unwrap()),
        local_path: full.then(|| "/srv/git/web-shop".parse().unwrap()),
    };
    let workstream = |full: bool| WorkstreamCompleted {
        workstream_id: ambient.id(),
        slug: slug("tls-everywhere"),
        title: title("TLS on every port"),
        topic_id: ambient.id(),
        repo_id: full.then(|| ambient.id()),
        repo_goal_id: full.then(|| ambient.id()),
    };
    let decision = |full: bool| DecisionResolved {
        decision_id: ambient.id(),
        title: title("Which database?"),
        rationale: "PostgreSQL: two sites write.".into(),
        decided_by: "ada".into(),
        workstream_id: full.then(|| ambient.id()),
        topic_id: full.then(|| ambient.id()),
    };
    let goal = |full: bool| DomainGoalActivated {
        goal_id: ambient.id(),
        domain_id: ambient.id(),
        domain_slug: slug("sales"),
        title: title("No clear text"),
        previous_goal_id: full.then(|| ambient.id()),
    };
    let stale = TaskStale {
        task_id: ambient.id(),
        title: title("Renew the certificate"),
        workstream_id: ambient.id(),
        workstream_slug: slug("tls-everywhere"),
        previous_state: TaskState::Progress,
    };
    let sweep = TaskSweepCompleted {
        cancelled: 1,
        task_ids: vec![stale.task_id],
        truncated: false,
        swept_at: ambient.now(),
    };
    let both = |of: &dyn Fn(bool) -> Payload| [of(true), of(false)];
    let mut all = Vec::new();
    let mut put = |name, payloads: &[Payload]| {
        all.extend(payloads.iter().map(|payload| (name, payload.clone())));
    };
    put("org.statehub.repo.registered", &both(&|full| Payload::RepoRegistered(repo(full))));
    put(
        "org.statehub.workstream.completed",
        &both(&|full| Payload::WorkstreamCompleted(workstream(full))),
    );
    put("org.statehub.decision.resolved", &both(&|full| Payload::DecisionResolved(decision(full))));
    put(
        "org.statehub.domain.goal.activated",
        &both(&|full| Payload::DomainGoalActivated(goal(full))),
    );
    put("org.statehub.task.stale", &[Payload::TaskStale(stale)]);
    put("org.statehub.task.sweep.completed", &[Payload::TaskSweepCompleted(sweep)]);
    all
}

fn attackers(ambient: &Ambient) -> Vec<Named> {
    let observed = |full: bool| {
        Payload::Observed(AttackerObserved {
            attacker_id: ambient.id(),
            identity_id: full.then(|| ambient.id()),
            address: "203.0.113.7".into(),
            decky_id: ambient.id(),
            service: Service::Ssh,
            first_seen: ambient.now(),
        })
    };
    let started = SessionStarted {
        session_id: ambient.id(),
        attacker_id: ambient.id(),
        decky_id: ambient.id(),
        topology_id: ambient.id(),
        service: Service::Ftp,
        peer: "203.0.113.7:40001".into(),
        started_at: ambient.now(),
    };
    let ended = |truncated| {
        Payload::SessionEnded(SessionEnded {
            session_id: started.session_id,
            attacker_id: started.attacker_id,
            decky_id: started.decky_id,
            topology_id: started.topology_id,
            service: started.service,
            started_at: started.started_at,
            ended_at: ambient.now(),
            bytes_in: 120,
            bytes_out: 4096,
            logins: 2,
            commands: 1,
            requests: 0,
            truncated,
        })
    };
    vec![
        ("org.morgana.attacker.observed", observed(true)),
        ("org.morgana.attacker.observed", observed(false)),
        (
            "org.morgana.attacker.scored",
            Payload::Scored(AttackerScored {
                attacker_id: ambient.id(),
                score: 55,
                previous: 30,
                level: ScoreLevel::High,
                reasons: vec!["tried 12 passwords".into()],
            }),
        ),
        (
            "org.morgana.credential.captured",
            Payload::CredentialCaptured(CredentialCaptured {
                credential_id: ambient.id(),
                attacker_id: ambient.id(),
                session_id: ambient.id(),
                decky_id: ambient.id(),
                kind: "password".into(),
                hash: "5ec2e7".repeat(10),
                principal: "root".into(),
            }),
        ),
        (
            "org.morgana.identity.formed",
            Payload::IdentityFormed(IdentityFormed {
                identity_id: ambient.id(),
                attacker_ids: vec![ambient.id(), ambient.id()],
            }),
        ),
        (
            "org.morgana.identity.linked",
            Payload::ObservationLinked(ObservationLinked {
                identity_id: ambient.id(),
                attacker_id: ambient.id(),
                reasons: vec!["the same client software".into()],
            }),
        ),
        ("org.morgana.session.started", Payload::SessionStarted(started.clone())),
        ("org.morgana.session.ended", ended(Some(Truncation::ALL[0]))),
        ("org.morgana.session.ended", ended(None)),
    ]
}

fn network(ambient: &Ambient) -> Vec<Named> {
    use TopologyStatus as S;
    let mutation = |state, reason: Option<&str>| {
        Payload::mutation(MutationEvent {
            topology_id: ambient.id(),
            mutation_id: ambient.id(),
            state,
            op: Op::RemoveLan { name: "dmz".parse().unwrap() },
            version: 7,
            requested_by: "ada".into(),
            reason: reason.map(Into::into),
        })
    };
    let mut all = Vec::new();
    for reason in [Some("the LAN is somebody's home"), None] {
        all.push(("org.morgana.mutation.applied", mutation(MutationState::Applied, reason)));
        all.push(("org.morgana.mutation.failed", mutation(MutationState::Failed, reason)));
        for (name, from, to) in [
            ("org.morgana.topology.deployed", S::Deploying, S::Active),
            ("org.morgana.topology.degraded", S::Active, S::Degraded),
            ("org.morgana.topology.recovered", S::Degraded, S::Active),
            ("org.morgana.topology.failed", S::Deploying, S::Failed),
            ("org.morgana.topology.removed", S::TearingDown, S::TornDown),
        ] {
            all.push((name, status(ambient, from, to, reason)));
        }
    }
    all
}

fn status(
    ambient: &Ambient,
    from: TopologyStatus,
    status: TopologyStatus,
    reason: Option<&str>,
) -> Payload {
    let (topology_id, reason) = (ambient.id(), reason.map(Into::into));
    Payload::Status(StatusChanged { topology_id, from, status, version: 1, reason })
}

/// Entries that nobody outside hears of.
pub(crate) fn inside() -> Vec<JournalEntry> {
    use TopologyStatus as S;
    let ambient = ambient();
    let mutation = |state| {
        Payload::mutation(MutationEvent {
            topology_id: ambient.id(),
            mutation_id: ambient.id(),
            state,
            op: Op::RemoveLan { name: "dmz".parse().unwrap() },
            version: 7,
            requested_by: "ada".into(),
            reason: None,
        })
    };
    let payloads = [
        status(&ambient, S::Pending, S::Deploying, None),
        status(&ambient, S::Active, S::TearingDown, None),
        mutation(MutationState::Pending),
        mutation(MutationState::Applying),
        Payload::SystemLog(SystemLog::new("w", "info", "hello")),
    ];
    payloads.into_iter().map(|payload| Event::new(&ambient, payload).to_entry(Some(1))).collect()
}
