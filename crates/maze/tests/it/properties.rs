//! What holds for every sequence of ops and every pair of networks.

use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc};

use ipnet::Ipv4Net;
use maze::{Change, Observed, Stage, Step, StepKind, apply, plan, validate};
use model::{
    Ambient, Archetype, DeckyPatch, LanPatch, Name, Op, Position, Service, ServiceConfig, Topology,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::demo;

fn lan_name() -> impl Strategy<Value = Name> {
    select(vec!["dmz", "office", "servers", "lab", "guests"]).prop_map(|n| n.parse().unwrap())
}

fn decky_name() -> impl Strategy<Value = Name> {
    select(vec!["web-01", "files-01", "db-01", "new-01", "new-02", "new-03"])
        .prop_map(|n| n.parse().unwrap())
}

fn services() -> impl Strategy<Value = Vec<Service>> {
    vec(select(Service::ALL), 0..4)
}

fn position() -> impl Strategy<Value = Option<Position>> {
    option::of((-9..9_i32, -9..9_i32).prop_map(|(x, y)| Position { x, y }))
}

fn subnet() -> impl Strategy<Value = Ipv4Net> {
    (0..8_u8, 0..9_u8, 14..31_u8).prop_map(|(third, last, prefix)| {
        Ipv4Net::new(Ipv4Addr::new(10, 66, third, last / 8), prefix).unwrap().trunc()
    })
}

fn moved() -> impl Strategy<Value = Option<Option<Position>>> {
    option::of(position())
}

fn machine() -> impl Strategy<Value = Option<DeckyPatch>> {
    let patch = (option::of(select(Archetype::ALL)), option::of(any::<bool>()));
    option::of(patch.prop_map(|(archetype, forwards_l3)| DeckyPatch { archetype, forwards_l3 }))
}

/// Any op that a request can make, batches included.
fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        9 => single(),
        1 => vec(single(), 0..5).prop_map(|ops| Op::Batch { ops }),
    ]
}

fn single() -> impl Strategy<Value = Op> {
    let attached_ip =
        (1..4_u8, 2..20_u8).prop_map(|(third, last)| Ipv4Addr::new(10, 66, third, last));
    let ip = (0..4_u8, 0..20_u8).prop_map(|(third, last)| Ipv4Addr::new(10, 66, third, last));
    let every = select(vec![0, 1, 29, 30, 600]);
    prop_oneof![
        (lan_name(), option::of(subnet()), any::<bool>(), position()).prop_map(
            |(name, subnet, is_dmz, position)| Op::AddLan { name, subnet, is_dmz, position }
        ),
        lan_name().prop_map(|name| Op::RemoveLan { name }),
        (
            decky_name(),
            lan_name(),
            option::of(services()),
            option::of(select(Archetype::ALL)),
            any::<bool>(),
            option::of(ip),
            option::of(every.clone()),
            position()
        )
            .prop_map(
                |(
                    name,
                    lan,
                    services,
                    archetype,
                    forwards_l3,
                    ip,
                    rotate_every_seconds,
                    position,
                )| {
                    Op::AddDecky {
                        name,
                        lan,
                        services,
                        archetype,
                        forwards_l3,
                        ip,
                        rotate_every_seconds,
                        position,
                    }
                }
            ),
        decky_name().prop_map(|decky| Op::RemoveDecky { decky }),
        (decky_name(), machine(), option::of(services()), option::of(every.clone()), moved())
            .prop_map(|(decky, patch, services, rotate_every_seconds, position)| {
                let force = patch.is_some();
                Op::UpdateDecky { decky, patch, services, rotate_every_seconds, position, force }
            }),
        (
            lan_name(),
            option::of(lan_name()),
            option::of(subnet()),
            option::of(any::<bool>()),
            moved()
        )
            .prop_map(|(name, renamed, subnet, is_dmz, position)| {
                let patch = LanPatch { name: renamed, subnet, is_dmz, position };
                Op::UpdateLan { name, patch }
            }),
        (decky_name(), lan_name(), option::of(attached_ip), any::<bool>()).prop_map(
            |(decky, lan, ip, forwards_l3)| Op::AttachDecky { decky, lan, ip, forwards_l3 }
        ),
        (decky_name(), lan_name()).prop_map(|(decky, lan)| Op::DetachDecky { decky, lan }),
        (decky_name(), any::<bool>()).prop_map(|(decky, stops)| {
            if stops { Op::StopDecky { decky } } else { Op::StartDecky { decky } }
        }),
        option::of(every)
            .prop_map(|rotate_every_seconds| Op::UpdateTopology { rotate_every_seconds }),
        (decky_name(), option::of(services()))
            .prop_map(|(decky, services)| Op::RotateDecky { decky, services }),
    ]
}

fn run(ops: &[Op]) -> Topology {
    run_with(ops).0
}

fn run_with(ops: &[Op]) -> (Topology, Ambient) {
    let (mut topology, ambient) = demo();
    for op in ops {
        if let Ok(applied) = apply(&topology, op, &ambient) {
            topology = applied.topology;
        }
    }
    (topology, ambient)
}

/// Everything but the version and the times of the last rotations.
fn lasting(topology: &Topology) -> Topology {
    let mut lasting = Topology { version: 0, ..topology.clone() };
    for decky in lasting.deckies.values_mut() {
        Arc::make_mut(decky).rotated_at = model::Timestamp::from_micros(0);
    }
    lasting
}

/// A network like the topology, with damage: each row and service there or not, or different.
fn damaged(topology: &Topology, dice: &[u8]) -> Observed {
    let empty = Observed::empty(topology.id);
    let steps = plan(Some(topology), &empty);
    let mut observed = empty;
    for (index, step) in steps.iter().enumerate() {
        let die = dice[index % dice.len()];
        if !die.is_multiple_of(4) {
            observed.advance(step);
        }
        match step {
            Step::AddLan { lan, .. } if die % 7 == 1 => {
                observed.lans.entry(lan.id).and_modify(|l| l.is_dmz = !l.is_dmz);
            }
            Step::AddDecky { decky, .. } => {
                observed.deckies.entry(decky.id).and_modify(|d| match die % 9 {
                    1 => d.name = "stranger".parse().unwrap(),
                    2 => d.archetype = Archetype::DevopsHost,
                    3 => d.edges.clear(),
                    4 => d.edges.truncate(1),
                    6 => d.forwards_l3 = !d.forwards_l3,
                    7 => d.edges.iter_mut().for_each(|e| e.forwards_l3 = !e.forwards_l3),
                    5 => {
                        d.services.insert(ServiceConfig { service: Service::Redis, port: 7000 });
                    }
                    _ => {}
                });
            }
            _ => {}
        }
    }
    observed
}

/// Where a kind of step stands in a plan.
fn rank(kind: StepKind) -> usize {
    match kind {
        StepKind::CloseService => 0,
        StepKind::DetachDecky => 1,
        StepKind::RemoveDecky => 2,
        StepKind::RemoveLan => 3,
        StepKind::AddLan => 4,
        StepKind::AddDecky => 5,
        StepKind::AttachDecky => 6,
        StepKind::SetForwarding => 7,
        StepKind::OpenService => 8,
    }
}

proptest! {
    #[test]
    fn ops_keep_a_topology_valid(ops in vec(op(), 0..40)) {
        prop_assert_eq!(validate(&run(&ops)), vec![]);
    }

    #[test]
    fn undoing_restores(ops in vec(op(), 0..20), last in vec(op(), 1..10)) {
        let (before, ambient) = run_with(&ops);
        for op in last {
            let Ok(applied) = apply(&before, &op, &ambient) else { continue };
            let mut undone = applied.topology;
            for undo in &applied.inverse {
                undone = apply(&undone, undo, &ambient).expect("an undo applies").topology;
            }
            prop_assert_eq!(lasting(&undone), lasting(&before), "{:?}", applied.inverse);
        }
    }

    #[test]
    fn a_change_is_planned_as_all_of_it_would_be(ops in vec(op(), 0..20), last in vec(op(), 1..10)) {
        let (before, ambient) = run_with(&ops);
        for op in last {
            let Ok(applied) = apply(&before, &op, &ambient) else { continue };
            let change = Change::between(&before, &applied.topology);
            let observed = Observed::of(&before);
            let whole = plan(Some(&applied.topology), &observed);
            prop_assert_eq!(&change.plan(observed), &whole);
            prop_assert_eq!(change.plan(Observed::of(&change.part_of(&before))), whole);
        }
    }

    #[test]
    fn a_change_leaves_others_alone(
        ops in vec(op(), 0..20),
        last in vec(op(), 1..10),
        dice in vec(any::<u8>(), 30..60),
    ) {
        let (before, ambient) = run_with(&ops);
        for op in last {
            let Ok(applied) = apply(&before, &op, &ambient) else { continue };
            let change = Change::between(&before, &applied.topology);
            let steps = change.plan(damaged(&before, &dice));
            let is_touched = |id| change.deckies().contains(&id);
            prop_assert!(steps.iter().filter_map(Step::decky).all(is_touched), "{steps:?}");
        }
    }

    #[test]
    fn ops_are_exact_json(op in op()) {
        let text = serde_json::to_string(&op).unwrap();
        prop_assert_eq!(serde_json::from_str::<Op>(&text).unwrap(), op);
    }

    #[test]
    fn a_plan_done_leaves_nothing_to_do(
        was in vec(op(), 0..20), more in vec(op(), 0..20), dice in vec(any::<u8>(), 1..30)
    ) {
        let before = run(&was);
        let mut desired = run(&[was, more].concat());
        desired.id = before.id;
        let mut observed = damaged(&before, &dice);
        let steps = plan(Some(&desired), &observed);
        prop_assert!(steps.is_sorted_by_key(|step| rank(step.kind())));
        for step in &steps {
            let once = observed.after(step);
            prop_assert_eq!(&once.after(step), &once, "a step twice is a step once");
            observed = once;
        }
        prop_assert_eq!(plan(Some(&desired), &observed), vec![]);
        for step in plan(None, &observed) {
            observed.advance(&step);
        }
        prop_assert!(observed.is_empty());
    }

    #[test]
    fn a_change_of_services_touches_one_decky(ops in vec(op(), 0..20), index in any::<prop::sample::Index>()) {
        let (before, ambient) = run_with(&ops);
        prop_assume!(before.deckies.values().any(|decky| !decky.is_stopped));
        let observed = Observed::of(&before);
        let running: Vec<_> = before.deckies.values().filter(|d| !d.is_stopped).collect();
        let decky = running[index.index(running.len())];
        let op = Op::RotateDecky { decky: decky.name.clone(), services: None };
        let after = apply(&before, &op, &ambient).unwrap().topology;
        let steps = plan(Some(&after), &observed);
        prop_assert!(!steps.is_empty());
        for step in &steps {
            prop_assert_eq!(step.decky(), Some(decky.id));
            prop_assert!(matches!(step.kind(), StepKind::OpenService | StepKind::CloseService));
        }
    }

    #[test]
    fn a_plan_of_a_live_change_touches_only_what_the_op_is_about(ops in vec(op(), 0..20), next in single()) {
        let (before, ambient) = run_with(&ops);
        let Ok(preview) = maze::preview(Stage::Live, &before, &next, &ambient) else { return Ok(()) };
        let after = &preview.applied.topology;
        let delta = after.delta_from(&before);
        let changed: BTreeSet<_> = delta.deckies_put.iter().map(|d| d.id).chain(delta.deckies_removed).collect();
        let mut observed = Observed::of(&before);
        for step in &preview.steps {
            prop_assert!(step.decky().is_none_or(|id| changed.contains(&id)), "{step} for {next:?}");
            observed.advance(step);
        }
        prop_assert_eq!(plan(Some(after), &observed), vec![]);
    }

    #[test]
    fn a_batch_is_its_ops_one_after_the_other(ops in vec(single(), 1..6)) {
        let (before, ambient) = demo();
        let (mut one_by_one, other) = demo();
        let batch = apply(&before, &Op::Batch { ops: ops.clone() }, &ambient);
        let all = ops.iter().try_for_each(|op| {
            one_by_one = apply(&one_by_one, op, &other)?.topology;
            Ok::<_, Vec<maze::Violation>>(())
        });
        prop_assert_eq!(batch.is_ok(), all.is_ok());
        if let Ok(batch) = batch {
            prop_assert_eq!(batch.topology.version, before.version + 1);
            prop_assert_eq!(lasting(&batch.topology), lasting(&one_by_one));
        }
    }

    #[test]
    fn a_document_brings_the_same_maze(ops in vec(op(), 0..20)) {
        let (topology, ambient) = run_with(&ops);
        let document = maze::Document::from(&topology);
        let text = serde_json::to_string(&document).unwrap();
        let read: maze::Document = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &document);
        let imported = read.read(&ambient).unwrap();
        prop_assert_eq!(maze::Document::from(&imported), document);
    }

    #[test]
    fn generated_mazes_are_valid_and_can_be_deployed(
        seed: u64, depth in 1..7_u32, branching in 1..5_u32, min in 0..5_u32, more in 1..8_u32,
        forward in 0..101_u32, cross in 0..101_u32
    ) {
        let (_, ambient) = demo();
        let blueprint = maze::Blueprint {
            seed, depth, branching, deckies_min: min, deckies_max: min + more,
            bridge_forward_percent: forward, cross_edge_percent: cross,
        };
        let name = || "made".parse().unwrap();
        match maze::generate(name(), &blueprint, &ambient) {
            Ok(made) => {
                prop_assert_eq!(validate(&made), vec![]);
                prop_assert_eq!(maze::deployable(&made), vec![]);
                prop_assert_eq!(maze::unreachable(&made), vec![]);
                let again = maze::generate(name(), &blueprint, &ambient).unwrap();
                prop_assert_eq!(maze::Document::from(&again), maze::Document::from(&made));
            }
            Err(violations) => {
                let lans = (0..depth).map(|level| branching.pow(level)).sum::<u32>();
                prop_assert!(lans > 256, "{violations:?}");
            }
        }
    }

    #[test]
    fn same_ops_give_the_same_maze(ops in vec(op(), 0..20)) {
        prop_assert_eq!(run(&ops), run(&ops));
    }

    #[test]
    fn services_are_sorted_without_duplicates(ops in vec(op(), 0..20)) {
        for decky in run(&ops).deckies.values() {
            let set: BTreeSet<_> = decky.services.iter().copied().collect();
            prop_assert_eq!(set.into_iter().collect::<Vec<_>>(), Arc::clone(decky).services.clone());
        }
    }
}
