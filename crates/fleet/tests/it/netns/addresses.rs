//! Which addresses deckies take, and what is said about them on the segment.

use super::*;

/// A driver that asks first, and a topology without deckies whose LAN is there.
struct Asking {
    driver: Netns,
    topology: Topology,
    told: Arc<Mutex<Vec<bool>>>,
}

impl Asking {
    fn on(lab: &Lab) -> Self {
        let listen_first = Duration::from_millis(150);
        let config = NetnsConfig { listen_first, ..lab.config(mixed()) };
        let host = Arc::new(Host::default());
        let told = host.uplink.clone();
        let driver = Netns::new(config, host).unwrap();
        let topology = topology(1);
        let lan = topology.lans.values().next().unwrap().clone();
        driver.execute(&Step::AddLan { topology: topology.id, lan }).unwrap();
        Self { driver, topology, told }
    }

    /// The `nth` decky comes to an address.
    fn step(&self, nth: u64, address: [u8; 4]) -> Step {
        let mut decky = Decky::clone(self.topology.deckies.values().next().unwrap());
        decky.id = Ambient::seeded(100 + nth, Timestamp::from_micros(1)).id();
        decky.name = format!("late-{nth}").parse().unwrap();
        decky.edges[0].address = address.into();
        Step::AddDecky { topology: self.topology.id, decky: Arc::new(decky) }
    }

    fn add(&self, address: [u8; 4]) -> Result<(), StepError> {
        self.driver.execute(&self.step(address[3].into(), address))
    }

    fn until_told(&self, wanted: &[bool]) {
        let until = std::time::Instant::now() + PATIENCE;
        while *self.told.lock().unwrap() != wanted {
            assert!(std::time::Instant::now() < until, "{:?}", self.told.lock().unwrap());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// How many frames the visitor got so far.
fn frames(lab: &Lab) -> u64 {
    lab.sh("cat /sys/class/net/eth0/statistics/rx_packets").trim().parse().unwrap()
}

#[test]
fn addresses_of_others_are_left_alone() {
    let Some(lab) = Lab::new() else { return };
    run(&format!("ip -n {} addr add 10.80.0.9/16 dev u0", lab.lan));
    let asking = Asking::on(&lab);
    let before = frames(&lab);
    let taken = asking.add([10, 80, 0, 2]).unwrap_err();
    assert!(matches!(taken, StepError::RealHost { .. }), "{taken}");
    assert_eq!(frames(&lab) - before, 3, "it is asked three times");
    let protected = asking.add([10, 80, 0, 1]).unwrap_err();
    assert!(matches!(protected, StepError::Protected { .. }), "{protected}");
    let own = asking.add([10, 80, 0, 9]).unwrap_err();
    assert!(matches!(own, StepError::OwnAddress { .. }), "{own}");
    asking.add([10, 80, 0, 3]).unwrap();
}

#[test]
fn many_addresses_are_asked_for_at_once_and_once() {
    let Some(lab) = Lab::new() else { return };
    let taken = 20..30;
    for low in taken.clone() {
        lab.sh(&format!("ip addr add 10.80.0.{low}/16 dev eth0"));
    }
    let asking = Asking::on(&lab);
    let before = frames(&lab);
    let steps: Vec<Step> =
        taken.clone().map(|low| asking.step(low.into(), [10, 80, 0, low])).collect();
    asking.driver.prepare(&steps);
    for nth in 0..steps.len() {
        // As whoever goes on after each that fails.
        let failed = asking.driver.execute_all(&steps[nth..]).unwrap_err();
        assert!(matches!(failed.error, StepError::RealHost { .. }), "{}", failed.error);
        assert_eq!(failed.at, 0);
    }
    assert_eq!(frames(&lab) - before, 3 * taken.count() as u64);
}

#[test]
fn nothing_is_taken_while_nobody_can_be_asked() {
    let Some(lab) = Lab::new() else { return };
    let asking = Asking::on(&lab);
    run(&format!("ip -n {} link set u0 down", lab.lan));
    asking.until_told(&[false]);
    let away = asking.add([10, 80, 0, 3]).unwrap_err();
    assert!(matches!(away, StepError::Unasked { .. }) && away.is_transient(), "{away}");
    run(&format!("ip -n {} link set u0 up", lab.lan));
    asking.until_told(&[false, true]);
    let until = std::time::Instant::now() + PATIENCE;
    while let Err(error) = asking.add([10, 80, 0, 3]) {
        assert!(matches!(error, StepError::Unasked { .. }), "{error}");
        assert!(std::time::Instant::now() < until, "{error}");
    }
    let address = Ipv4Addr::new(10, 80, 0, 3);
    assert_eq!(lab.visit(|| ping(address, 64, PATIENCE)), Some((address, Answer::Echo)));
}
