//! SIGKILL at crash points and at random moments, under random operations: each comes to what it
//! had come to without the kill, once; nothing is left in the kernel; sessions are whole.
//! `MORGANA_KILLS` says how often, `MORGANA_SEED` where the moments come from.

use std::{collections::BTreeSet, path::Path, time::Duration};

use model::Ambient;
use store::Store;
use testkit::{Prefix, Start, segment::Segment};

use crate::{
    netns::{assert_nothing_left, namespaces_of},
    number,
    operations::{
        audit::Audit,
        player::Player,
        visitors::{ON_SEGMENT, Way},
    },
};

/// Kills of a sample.
const SAMPLE: u64 = 25;
/// Kills on one data directory.
const LIVES: u64 = 250;
/// Requests of one life that nothing ends before.
const REQUESTS: usize = 3;
/// Of a hundred requests as many are about the whole maze.
const RESTLESS: u32 = 10;
/// Latest random moment after a start, in milliseconds.
const LATEST: usize = 500;

/// Where a life ends, and at which passing at the latest.
const POINTS: [(&str, usize); 10] = [
    ("step", 24),
    ("claimed", 4),
    ("executed", 4),
    ("finished", 4),
    ("built", 2),
    ("taken-down", 1),
    ("facts-stored", 2),
    ("facts-fetched", 2),
    ("facts-kept", 2),
    ("relay-delivered", 8),
];

/// How a life ends.
#[derive(Debug)]
enum Death {
    /// At a crash point, if it comes there.
    At(String),
    /// So long after its start.
    After(Duration),
}

impl Death {
    fn draw(player: &mut Player<'_>) -> Self {
        if player.below(3) == 0 {
            return Self::After(Duration::from_millis(player.below(LATEST) as u64));
        }
        let (point, last) = POINTS[player.below(POINTS.len())];
        Self::At(format!("{point}:{}", 1 + player.below(last)))
    }
}

/// Where the service lives.
struct Place<'a> {
    binary: &'a str,
    arguments: &'a [&'a str],
    way: Way<'a>,
    prefix: Prefix,
}

impl Place<'_> {
    async fn check(&self) {
        let (kills, seed) = (number("MORGANA_KILLS").unwrap_or(SAMPLE), number("MORGANA_SEED"));
        let mut left = kills;
        for seed in seed.unwrap_or(1).. {
            let dir = tempfile::tempdir().unwrap();
            self.live_in(dir.path(), seed, left.min(LIVES)).await;
            left -= left.min(LIVES);
            if left == 0 {
                return;
            }
        }
    }

    /// So many lives, and one that ends well.
    async fn live_in(&self, dir: &Path, seed: u64, lives: u64) {
        let mut player = Player::new(seed, dir, self.way, RESTLESS);
        let (mut audit, mut earlier) = (Audit::default(), BTreeSet::new());
        for _ in 0..lives {
            let death = Death::draw(&mut player);
            player.note(&format!("killed {death:?}"));
            let is_understood = self.live(dir, &mut player, &death).await;
            read(dir, &mut audit, &mut player).await;
            if is_understood {
                let is_whole = |session: &&String| audit.is_whole(session);
                assert!(earlier.iter().all(|session| is_whole(&session)), "a session is not whole");
            }
            earlier.clone_from(&player.sessions);
        }
        let service = self.start(dir, &[]).service().await;
        player.resume().await.expect("the service answers");
        service.terminate().await;
        read(dir, &mut audit, &mut player).await;
        audit.assert_settled();
        assert_eq!(audit.sessions().1, Vec::<&String>::new(), "these did not end");
    }

    fn start<'a>(&'a self, data_dir: &'a Path, environment: &'a [(&'a str, &'a str)]) -> Start<'a> {
        let Self { binary, arguments, prefix, .. } = self;
        Start { binary, data_dir, prefix, arguments, environment }
    }

    /// One life, and its death. Answers whether it came so far that all before was understood.
    async fn live(&self, dir: &Path, player: &mut Player<'_>, death: &Death) -> bool {
        let (at, after) = match death {
            Death::At(point) => (Some(("MORGANA_CRASH_AT", point.as_str())), None),
            Death::After(time) => (None, Some(*time)),
        };
        let (mut service, mut output) = self.start(dir, at.as_slice()).begin();
        let mut is_understood = false;
        let living = async {
            assert!(output.until_up().await, "no start");
            player.resume().await.expect("nobody has killed it");
            is_understood = true;
            for _ in 0..REQUESTS {
                player.play().await.expect("nobody has killed it");
            }
        };
        let dying = async {
            match after {
                Some(time) => tokio::time::sleep(time).await,
                None => service.wait_for_error("crash point").await,
            }
        };
        // Cancel-safe: a player can be stopped at any await, and the service is not asked again.
        tokio::select! {
            () = living => {}
            () = dying => {}
        }
        let namespaces = namespaces_of(service.pid());
        service.kill().await;
        player.note_death();
        if let Way::Segment(segment) = self.way {
            assert_nothing_left(&segment.lan, &namespaces).await;
        }
        is_understood
    }
}

/// Reads what the dead one has written, and whether it is what has to have come of it.
async fn read(dir: &Path, audit: &mut Audit, player: &mut Player<'_>) {
    let store = Store::open(dir, Ambient::system()).unwrap();
    audit.read(&store).await;
    store.close().await;
    audit.settle(&mut player.outcomes);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_random_operations_change_no_outcome() {
    let binary = env!("CARGO_BIN_EXE_morgana");
    let place = Place { binary, arguments: &[], way: Way::Loopback, prefix: Prefix::claim() };
    place.check().await;
}

/// Needs root; says so and passes where there is none.
#[tokio::test(flavor = "multi_thread")]
async fn kills_on_a_segment_leave_nothing_in_the_kernel() {
    let Some(segment) = Segment::new() else { return };
    for address in ON_SEGMENT {
        segment.sh(&format!("ip addr add {address} dev eth0"));
    }
    let dir = tempfile::tempdir().unwrap();
    let binary = segment.program(dir.path(), env!("CARGO_BIN_EXE_morgana"));
    let place = Place {
        binary: binary.to_str().unwrap(),
        arguments: &["--set", "fleet.driver=netns", "--set", "fleet.uplink=u0"],
        way: Way::Segment(&segment),
        prefix: Prefix::claim(),
    };
    place.check().await;
}
