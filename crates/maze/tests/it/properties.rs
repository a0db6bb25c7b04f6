//! What holds for every sequence of ops and every pair of networks.

use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc};

use ipnet::Ipv4Net;
use maze::{Observed, Step, StepKind, apply, plan, validate};
use model::{Ambient, Archetype, Name, Op, Position, Service, ServiceConfig, Topology};
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{demo, describe};

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

fn op() -> impl Strategy<Value = Op> {
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
            option::of(ip),
            option::of(every.clone()),
            position()
        )
            .prop_map(
                |(name, lan, services, archetype, ip, rotate_every_seconds, position)| {
                    Op::AddDecky {
                        name,
                        lan,
                        services,
                        archetype,
                        ip,
                        rotate_every_seconds,
                        position,
                    }
                }
            ),
        decky_name().prop_map(|decky| Op::RemoveDecky { decky }),
        (decky_name(), option::of(services()), option::of(every), position()).prop_map(
            |(decky, services, rotate_every_seconds, position)| Op::UpdateDecky {
                decky,
                services,
                rotate_every_seconds,
                position
            }
        ),
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

/// As described, without positions: an undo cannot take a first one away.
fn without_positions(topology: &Topology) -> Vec<String> {
    let lines = describe(topology).into_iter();
    lines.map(|line| line.split(" at ").next().unwrap().to_owned()).collect()
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
        StepKind::RemoveDecky => 1,
        StepKind::RemoveLan => 2,
        StepKind::AddLan => 3,
        StepKind::AddDecky => 4,
        StepKind::OpenService => 5,
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
            prop_assert_eq!(without_positions(&undone), without_positions(&before));
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
        prop_assume!(!before.deckies.is_empty());
        let empty = Observed::empty(before.id);
        let observed = plan(Some(&before), &empty).iter().fold(empty, |o, step| o.after(step));
        let decky = before.deckies.values().nth(index.index(before.deckies.len())).unwrap();
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
