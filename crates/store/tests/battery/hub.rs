//! The hub: moves, references, lifecycle events, the sweep.

use model::{
    EventContext,
    hub::{
        DecisionStatus, DecisionType, Domain, DomainGoal, GoalState, Prose, Refusal, Slug, Task,
        TaskState, Title, Topic, Workstream, WorkstreamState,
    },
};
use store::{
    DomainChange, DomainFilter, GoalMove, HubError, NewDecision, NewDomain, NewGoal, NewProgress,
    NewRepo, NewTask, NewTopic, NewWorkstream, ProgressFilter, RepoChange, RequestKey, Resolution,
    Store, TaskChange, TaskFilter, WorkstreamChange, WorkstreamFilter,
};

use crate::bench::{Bench, field, journal, kinds};

fn slug(text: &str) -> Slug {
    text.parse().unwrap()
}

fn title(text: &str) -> Title {
    text.parse().unwrap()
}

fn ada() -> EventContext {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    EventContext::of("ada").traced(Some(trace))
}

async fn domain(store: &Store, name: &str) -> Domain {
    let new = NewDomain { slug: slug(name), title: title(name), description: Prose::default() };
    store.create_domain(new, None).await.unwrap().row
}

async fn topic(store: &Store, domain: &Domain, name: &str) -> Topic {
    let new = NewTopic {
        slug: slug(name),
        domain_id: domain.id,
        title: title(name),
        description: Prose::default(),
    };
    store.create_topic(new, None).await.unwrap().row
}

async fn goal(store: &Store, domain: &Domain, name: &str) -> DomainGoal {
    let new = NewGoal { domain_id: domain.id, title: title(name), description: Prose::default() };
    store.create_domain_goal(new, None).await.unwrap().row
}

async fn workstream(store: &Store, topic: &Topic, name: &str) -> Workstream {
    let new = NewWorkstream {
        slug: slug(name),
        topic_id: topic.id,
        repo_id: None,
        repo_goal_id: None,
        title: title(name),
        description: Prose::default(),
        state: WorkstreamState::Active,
    };
    store.create_workstream(new, None).await.unwrap().row
}

fn new_task(workstream: &Workstream, name: &str, state: TaskState) -> NewTask {
    let description = Prose::default();
    NewTask { workstream_id: workstream.id, title: title(name), description, state }
}

async fn task(store: &Store, workstream: &Workstream, name: &str, state: TaskState) -> Task {
    store.create_task(new_task(workstream, name, state), None).await.unwrap().row
}

async fn become_state(
    store: &Store,
    workstream: &Workstream,
    state: WorkstreamState,
) -> Result<Workstream, HubError> {
    let change = WorkstreamChange { state: Some(state), ..WorkstreamChange::default() };
    store.change_workstream(workstream.id, change, ada()).await
}

pub(crate) async fn a_registered_repo_is_published_once(bench: Bench) {
    let store = bench.open();
    let domain = domain(&store, "ops").await;
    let new = NewRepo {
        slug: slug("maze"),
        domain_id: domain.id,
        description: Prose::default(),
        remote_url: Some("https://example.net/maze.git".parse().unwrap()),
        local_path: None,
    };
    let repo = store.register_repo(new.clone(), ada(), None).await.unwrap().row;
    let again = store.register_repo(new.clone(), ada(), None).await;
    assert!(matches!(again, Err(HubError::SlugTaken { .. })), "{again:?}");
    let nowhere = NewRepo { slug: slug("x"), domain_id: bench.ambient.id(), ..new };
    let nowhere = store.register_repo(nowhere, ada(), None).await;
    assert!(matches!(nowhere, Err(HubError::NoSuch { field: "domain", .. })), "{nowhere:?}");
    let change = RepoChange { remote_url: Some(None), ..RepoChange::default() };
    let changed = store.change_repo(repo.id, change).await.unwrap();
    assert_eq!((changed.remote_url, changed.stamps.version), (None, 2));
    assert_eq!(store.repo_named(&slug("maze")).await.unwrap().unwrap().id, repo.id);

    let journal = journal(&store).await;
    let [entry] = journal.as_slice() else { panic!("{journal:?}") };
    assert_eq!(entry.topic.as_str(), "org.statehub.repo.registered");
    assert_eq!(entry.kind, "statehub.repo.registered");
    assert_eq!(entry.context, ada());
    assert_eq!(
        entry.payload.get(),
        format!(
            r#"{{"repo_id":"{}","repo_slug":"maze","domain_slug":"ops","remote_url":"https://example.net/maze.git"}}"#,
            repo.id
        )
    );
}

pub(crate) async fn versions_are_compared_and_count_changes_only(bench: Bench) {
    let store = bench.open();
    let domain = domain(&store, "ops").await;
    let rename = |to: &str, version| DomainChange {
        title: Some(title(to)),
        version,
        ..DomainChange::default()
    };
    let same = store.change_domain(domain.id, rename("ops", Some(1))).await.unwrap();
    assert_eq!(same, domain, "nothing changed");
    let changed = store.change_domain(domain.id, rename("Operations", Some(1))).await.unwrap();
    assert_eq!(changed.stamps.version, 2);
    let late = store.change_domain(domain.id, rename("Late", Some(1))).await;
    let is = matches!(late, Err(HubError::VersionConflict { current: 2, wanted: 1, .. }));
    assert!(is, "{late:?}");
    let late = store.remove_domain(domain.id, Some(1)).await;
    assert!(matches!(late, Err(HubError::VersionConflict { .. })), "{late:?}");
    let unknown = store.change_domain(bench.ambient.id(), rename("x", None)).await;
    assert!(matches!(unknown, Err(HubError::Unknown { noun: "domain" })), "{unknown:?}");
    assert_eq!(store.domain(domain.id).await.unwrap().unwrap(), changed);
    assert_eq!(store.journal_head(), 0);
}

pub(crate) async fn what_is_referred_to_stays(bench: Bench) {
    let store = bench.open();
    let domain = domain(&store, "ops").await;
    let topic = topic(&store, &domain, "decoys").await;
    let stream = workstream(&store, &topic, "ssh").await;
    let task = task(&store, &stream, "banner", TaskState::Todo).await;
    let about = ProgressFilter::Task(task.id);
    let new = NewProgress { about, text: "half of it".parse().unwrap(), author: "ada".into() };
    let entry = store.note_progress(new, None).await.unwrap().row;
    assert_eq!(entry.workstream_id, stream.id);
    let by = |refused: Result<(), HubError>| match refused {
        Err(HubError::InUse { by, count: 1, .. }) => by,
        other => panic!("{other:?}"),
    };
    assert_eq!(by(store.remove_domain(domain.id, None).await), "topics");
    assert_eq!(by(store.remove_topic(topic.id, None).await), "workstreams");
    assert_eq!(by(store.remove_workstream(stream.id, None).await), "tasks");
    store.remove_task(task.id, Some(1)).await.unwrap();
    let log = store.progress(ProgressFilter::Workstream(stream.id), None, 10).await.unwrap();
    assert!(log.items.is_empty(), "a log goes with its task: {log:?}");
    store.remove_workstream(stream.id, None).await.unwrap();
    store.remove_topic(topic.id, None).await.unwrap();
    store.remove_domain(domain.id, None).await.unwrap();
    let gone = store.remove_domain(domain.id, None).await;
    assert!(matches!(gone, Err(HubError::Unknown { .. })), "{gone:?}");
}

pub(crate) async fn completion_is_published_on_the_transition_only(bench: Bench) {
    let store = bench.open();
    let domain = domain(&store, "ops").await;
    let topic = topic(&store, &domain, "decoys").await;
    let stream = workstream(&store, &topic, "ssh").await;
    become_state(&store, &stream, WorkstreamState::Blocked).await.unwrap();
    match become_state(&store, &stream, WorkstreamState::Finished).await {
        Err(HubError::Move { from: "blocked", to: "finished", why: Refusal::Waiting, .. }) => {}
        other => panic!("{other:?}"),
    }
    become_state(&store, &stream, WorkstreamState::Active).await.unwrap();
    let finished = become_state(&store, &stream, WorkstreamState::Finished).await.unwrap();
    let again = become_state(&store, &stream, WorkstreamState::Finished).await.unwrap();
    assert_eq!(again, finished, "it is there already");
    let rename = WorkstreamChange { title: Some(title("SSH")), ..WorkstreamChange::default() };
    store.change_workstream(stream.id, rename, ada()).await.unwrap();
    assert_eq!(kinds(&store).await["statehub.workstream.completed"], 1);
    become_state(&store, &stream, WorkstreamState::Active).await.unwrap();
    become_state(&store, &stream, WorkstreamState::Finished).await.unwrap();
    become_state(&store, &stream, WorkstreamState::Archived).await.unwrap();
    match become_state(&store, &stream, WorkstreamState::Active).await {
        Err(HubError::Move { why: Refusal::Final, .. }) => {}
        other => panic!("{other:?}"),
    }
    let entries = journal(&store).await;
    assert_eq!(entries.len(), 2, "taken up again and completed again");
    assert_eq!(field(&entries[1], "title"), "SSH");
    assert_eq!(field(&entries[1], "topic_id"), topic.id.to_string());
}

pub(crate) async fn a_domain_has_one_active_goal(bench: Bench) {
    let store = bench.open();
    let domain = domain(&store, "ops").await;
    let first = goal(&store, &domain, "see").await;
    let second = goal(&store, &domain, "hear").await;
    let activate =
        |id, replace| store.move_domain_goal(id, GoalMove::Activate { replace }, None, ada());
    activate(first.id, false).await.unwrap();
    activate(first.id, false).await.unwrap();
    match activate(second.id, false).await {
        Err(HubError::GoalAlreadyActive { goal_id }) => assert_eq!(goal_id, first.id),
        other => panic!("{other:?}"),
    }
    let active = activate(second.id, true).await.unwrap();
    assert_eq!(active.state, GoalState::Active);
    let former = store.domain_goal(first.id).await.unwrap().unwrap();
    assert_eq!((former.state, former.stamps.version), (GoalState::Retired, 3));
    let early = store.move_domain_goal(first.id, GoalMove::Achieve, None, ada()).await;
    assert!(matches!(early, Err(HubError::Move { why: Refusal::NotStarted, .. })), "{early:?}");
    store.move_domain_goal(second.id, GoalMove::Achieve, Some(2), ada()).await.unwrap();
    activate(first.id, false).await.unwrap();
    let entries = journal(&store).await;
    assert_eq!(entries.len(), 3, "each activation once");
    assert!(field(&entries[0], "previous_goal_id").is_null());
    assert_eq!(field(&entries[1], "previous_goal_id"), first.id.to_string());
    assert_eq!(field(&entries[1], "domain_slug"), "ops");
}

pub(crate) async fn decisions_are_resolved_once(bench: Bench) {
    let store = bench.open();
    let new = NewDecision {
        title: title("Which banner?"),
        description: Prose::default(),
        workstream_id: None,
        topic_id: None,
        made: None,
    };
    let made = Resolution { rationale: "it was".parse().unwrap(), decided_by: title("bob") };
    let noted = NewDecision { made: Some(made.clone()), ..new.clone() };
    let noted = store.create_decision(noted, None).await.unwrap().row;
    assert_eq!((noted.kind, noted.status), (DecisionType::Made, DecisionStatus::Resolved));
    assert_eq!(store.journal_head(), 0, "nothing of it happened now");

    let open = store.create_decision(new.clone(), None).await.unwrap().row;
    store.escalate_decision(open.id, Some(1)).await.unwrap();
    let resolved = store.resolve_decision(open.id, made.clone(), None, ada()).await.unwrap();
    assert_eq!((resolved.kind, resolved.status), (DecisionType::Made, DecisionStatus::Resolved));
    assert_eq!(resolved.decided_at, Some(bench.ambient.now()));
    let again = store.resolve_decision(open.id, made, None, ada()).await;
    assert!(matches!(again, Err(HubError::Move { why: Refusal::NoSuchMove, .. })), "{again:?}");
    let itself = store.supersede_decision(open.id, Some(open.id), None).await;
    assert!(matches!(itself, Err(HubError::NoSuch { field: "by", .. })), "{itself:?}");
    let gone = store.supersede_decision(open.id, Some(noted.id), None).await.unwrap();
    assert_eq!((gone.status, gone.superseded_by), (DecisionStatus::Superseded, Some(noted.id)));
    let circle = store.supersede_decision(noted.id, Some(open.id), None).await;
    assert!(matches!(circle, Err(HubError::NoSuch { field: "by", .. })), "{circle:?}");
    let refused = store.remove_decision(noted.id, None).await;
    assert!(matches!(refused, Err(HubError::InUse { by: "decisions", .. })), "{refused:?}");
    store.remove_decision(open.id, None).await.unwrap();
    store.remove_decision(noted.id, None).await.unwrap();
    let entries = journal(&store).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].topic.as_str(), "org.statehub.decision.resolved");
    assert_eq!(field(&entries[0], "decided_by"), "bob");
}

pub(crate) async fn a_workstream_counts_its_tasks_and_its_quiet(bench: Bench) {
    let store = bench.open();
    let domain = domain(&store, "ops").await;
    let topic = topic(&store, &domain, "decoys").await;
    let stream = workstream(&store, &topic, "ssh").await;
    let day = std::time::Duration::from_secs(86_400);
    let sign = async || {
        let now = store.workstream(stream.id).await.unwrap().unwrap();
        (now.tally.tasks_open, now.tally.tasks, now.tally.sign(now.state, bench.ambient.now()))
    };
    use model::hub::WorkstreamSign::{NeedsReview, Stalled};
    let one = task(&store, &stream, "banner", TaskState::Progress).await;
    assert_eq!(sign().await, (1, 1, None));
    bench.ambient.advance(day * 14);
    assert_eq!(sign().await, (1, 1, Some(Stalled)));
    let about = ProgressFilter::Workstream(stream.id);
    let new = NewProgress { about, text: "still here".parse().unwrap(), author: "ada".into() };
    store.note_progress(new, None).await.unwrap();
    assert_eq!(sign().await, (1, 1, None));
    let done = TaskChange { state: Some(TaskState::Done), ..TaskChange::default() };
    store.change_task(one.id, done).await.unwrap();
    assert_eq!(sign().await, (0, 1, Some(NeedsReview)));
    let filter = WorkstreamFilter { topic_id: Some(topic.id), ..WorkstreamFilter::default() };
    assert_eq!(store.workstreams(filter, None, 10).await.unwrap().items.len(), 1);
}

pub(crate) async fn a_key_stands_for_one_request_of_one_person_for_a_day(bench: Bench) {
    let store = bench.open();
    let domain = domain(&store, "ops").await;
    let key = |by: &str, digest: &str| {
        let (key, digest) = ("again".to_owned(), digest.to_owned());
        Some(RequestKey { requested_by: by.into(), key, digest })
    };
    let goal = |request| {
        let (title, description) = (title("see"), Prose::default());
        store.create_domain_goal(NewGoal { domain_id: domain.id, title, description }, request)
    };
    let first = goal(key("ada", "x")).await.unwrap();
    let again = goal(key("ada", "x")).await.unwrap();
    assert_eq!((first.replayed, again.replayed, again.row), (false, true, first.row.clone()));
    let different = goal(key("ada", "y")).await;
    assert!(matches!(different, Err(HubError::KeyReused)), "{different:?}");
    let bobs = goal(key("bob", "y")).await.unwrap();
    assert!(!bobs.replayed && bobs.row.id != first.row.id);
    // What was refused may be tried again.
    let nowhere = || NewTopic {
        slug: slug("late"),
        domain_id: bench.ambient.id(),
        title: title("late"),
        description: Prose::default(),
    };
    let refused = store.create_topic(nowhere(), key("eve", "z")).await;
    assert!(matches!(refused, Err(HubError::NoSuch { .. })), "{refused:?}");
    let topic = NewTopic { domain_id: domain.id, ..nowhere() };
    assert!(!store.create_topic(topic, key("eve", "z")).await.unwrap().replayed);
    bench.ambient.advance(std::time::Duration::from_secs(86_400));
    assert!(!goal(key("ada", "x")).await.unwrap().replayed, "a day has passed");
}

pub(crate) async fn nothing_begins_in_a_workstream_that_is_over(bench: Bench) {
    let store = bench.open();
    let domain = domain(&store, "ops").await;
    let topic = topic(&store, &domain, "decoys").await;
    let stream = workstream(&store, &topic, "ssh").await;
    let open = task(&store, &stream, "banner", TaskState::Wait).await;
    become_state(&store, &stream, WorkstreamState::Finished).await.unwrap();
    let refused = store.create_task(new_task(&stream, "more", TaskState::Todo), None).await;
    assert!(matches!(refused, Err(HubError::WorkstreamClosed { .. })), "{refused:?}");
    let to = |state| TaskChange { state: Some(state), ..TaskChange::default() };
    let refused = store.change_task(open.id, to(TaskState::Progress)).await;
    assert!(matches!(refused, Err(HubError::WorkstreamClosed { .. })), "{refused:?}");
    let refused = store.change_task(open.id, to(TaskState::Done)).await;
    assert!(matches!(refused, Err(HubError::Move { why: Refusal::Waiting, .. })), "{refused:?}");
    store.change_task(open.id, to(TaskState::Cancel)).await.unwrap();
    let refused = store.change_task(open.id, to(TaskState::Todo)).await;
    assert!(matches!(refused, Err(HubError::Move { why: Refusal::Final, .. })), "{refused:?}");
}

pub(crate) async fn a_sweep_cancels_every_stale_task_and_says_so(bench: Bench) {
    /// Several transactions of a sweep, and more than a summary lists.
    const STALE: usize = 1_150;
    let store = bench.open();
    let domain = domain(&store, "ops").await;
    let topic = topic(&store, &domain, "decoys").await;
    let nothing = store.sweep_stale_tasks(ada(), None, || false).await.unwrap();
    assert_eq!((nothing.cancelled, nothing.position), (0, 1), "it says so too");

    let over = workstream(&store, &topic, "ssh").await;
    let live = workstream(&store, &topic, "ftp").await;
    let kept = task(&store, &live, "stays", TaskState::Todo).await;
    let states = [TaskState::Wait, TaskState::Todo, TaskState::Progress];
    let mut makers = tokio::task::JoinSet::new();
    for n in 0..STALE {
        let (store, new) = (store.clone(), new_task(&over, &format!("t{n}"), states[n % 3]));
        makers.spawn(async move { store.create_task(new, None).await.unwrap().row.id });
    }
    makers.join_all().await;
    become_state(&store, &over, WorkstreamState::Finished).await.unwrap();

    let preview = store.stale_tasks().await.unwrap();
    assert_eq!((preview.stale, preview.task_ids.len()), (STALE as u64, 1000));
    // One that has to end sums up what it did.
    let ended = store.sweep_stale_tasks(EventContext::of("cron"), None, || true).await.unwrap();
    let summary = journal(&store).await.pop().unwrap();
    assert_eq!((summary.seq, &field(&summary, "cancelled")), (Some(ended.position), &100.into()));
    let rest = STALE as u64 - ended.cancelled;
    let swept = store.sweep_stale_tasks(EventContext::of("cron"), None, || false).await.unwrap();
    assert_eq!((swept.cancelled, swept.task_ids.len()), (rest, 1000));
    let log = store.audit_log(None, 2).await.unwrap().items;
    let log: Vec<_> =
        log.iter().map(|entry| (&*entry.record.actor, &*entry.record.object)).collect();
    assert_eq!(log, [("cron", &*format!("tasks/{rest}")), ("cron", "tasks/100")]);
    let left = TaskFilter { stale: Some(true), ..TaskFilter::default() };
    assert!(store.tasks(left, None, 10).await.unwrap().items.is_empty());
    assert_eq!(store.task(kept.id).await.unwrap().unwrap().state, TaskState::Todo);

    let entries = journal(&store).await;
    let last = entries.last().unwrap();
    assert_eq!(last.seq, Some(swept.position), "the summary is the last word");
    assert_eq!(last.kind, "statehub.task.sweep.completed");
    assert_eq!((field(last, "cancelled"), field(last, "truncated")), (rest.into(), true.into()));
    assert_eq!(last.context.actor.as_deref(), Some("cron"));
    let stale: Vec<_> = entries.iter().filter(|e| e.kind == "statehub.task.stale").collect();
    let ids: std::collections::BTreeSet<_> =
        stale.iter().map(|entry| field(entry, "task_id").to_string()).collect();
    assert_eq!((stale.len(), ids.len()), (STALE, STALE), "each once");
    assert_eq!(field(stale[0], "workstream_slug"), "ssh");
    assert!(states.iter().any(|state| field(stale[0], "previous_state") == state.as_str()));
    let cancelled = store.task(swept.task_ids[0]).await.unwrap().unwrap();
    assert_eq!((cancelled.state, cancelled.stamps.version), (TaskState::Cancel, 2));
}

pub(crate) async fn lists_of_the_hub_are_paged(bench: Bench) {
    let store = bench.open();
    for n in 0..5 {
        domain(&store, &format!("d{n}")).await;
        bench.ambient.advance(std::time::Duration::from_millis(1));
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store.domains(DomainFilter, after, 2).await.unwrap();
        seen.extend(page.items.iter().map(|domain| domain.slug.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["d4", "d3", "d2", "d1", "d0"]);
}
