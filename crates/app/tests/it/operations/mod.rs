//! Random operations against the whole service, beside a model that says what has to come of
//! each. `MORGANA_OPS` says how many, `MORGANA_SEED` which; a failure prints seed and step.

pub(crate) mod audit;
mod caller;
mod draw;
pub(crate) mod player;
mod rules;
mod site;
pub(crate) mod visitors;
mod words;

use std::os::fd::AsFd as _;

use morgana::config::DriverChoice;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use testkit::{Prefix, segment::Segment};

use self::{
    player::Player,
    site::Site,
    visitors::{ON_SEGMENT, Way},
};
use crate::number;

/// Operations of a sample.
const SAMPLE: u64 = 150;
/// One in so many steps the service is stopped and started.
const RESTARTS: usize = 60;

async fn check(driver: DriverChoice, prefix: [u8; 2], way: Way<'_>) {
    let seed = number("MORGANA_SEED").unwrap_or(1);
    let mut site = Site::start(seed, driver, prefix).await;
    let mut player = Player::new(seed, site.data_dir(), way, 0);
    for _ in 0..number("MORGANA_OPS").unwrap_or(SAMPLE) {
        player.play().await.expect("the service answers");
        site.check(&mut player).await;
        if player.below(RESTARTS) == 0 {
            site.restart().await;
            player.note_death();
            player.resume().await.expect("the service answers");
            site.check(&mut player).await;
        }
    }
    player.leave().await.expect("the service answers");
    site.assert_sessions(player.sessions.len()).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_operations_come_to_what_the_rules_say() {
    check(DriverChoice::Fake, [127, 66], Way::None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_operations_come_to_what_the_rules_say_on_loopback() {
    let prefix = Prefix::claim();
    check(DriverChoice::Loopback, prefix.octets(), Way::Loopback).await;
}

/// Needs root; says so and passes where there is none.
#[test]
fn random_operations_come_to_what_the_rules_say_on_a_segment() {
    let Some(segment) = Segment::new() else { return };
    for address in ON_SEGMENT {
        segment.sh(&format!("ip addr add {address} dev eth0"));
    }
    // Every thread of the service is where the uplink is.
    let path = format!("/run/netns/{}", segment.lan);
    let enter = move || {
        let namespace = std::fs::File::open(&path).unwrap();
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(namespace.as_fd(), kind).unwrap();
    };
    let enter_too = enter.clone();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.on_thread_start(enter).enable_all().build().unwrap();
    std::thread::scope(|scope| {
        let (runtime, way) = (&runtime, Way::Segment(&segment));
        let run = move || {
            enter_too();
            runtime.block_on(check(DriverChoice::Netns, [127, 66], way));
        };
        scope.spawn(run).join().unwrap();
    });
}
