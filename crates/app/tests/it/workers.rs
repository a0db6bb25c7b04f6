//! Workers over the bus: who is alive, and how one is stopped.

use std::time::Duration;

use api::{WorkerState, WorkersView};
use bus::Bus;
use model::{Ambient, ControlAction, Event, Payload, WorkerControl};
use morgana::workers::{Crew, Pulse, Roster, STALE_AFTER, Warden, WorkersHandle};
use tokio_util::sync::CancellationToken;

struct Bench {
    bus: Bus,
    ambient: Ambient,
    crew: Crew,
    handle: WorkersHandle,
}

/// Two workers that beat, and one that fell silent.
async fn bench(bus: Bus) -> Bench {
    let ambient = Ambient::system();
    let roster = Roster::default();
    let mut crew = Crew::new(roster.clone());
    let warden = Warden::new(bus.clone(), ambient.clone(), roster);
    let handle = warden.handle();
    let listening = warden.listen().await;
    for worker in ["mutator", "observer"] {
        let pulse = Pulse::new(worker, bus.clone(), ambient.clone());
        crew.spawn(worker, |stop| async move {
            pulse.beside(stop.cancelled(), || vec![("done_total", 3)]).await;
        });
    }
    crew.spawn("silent", |stop| async move { stop.cancelled().await });
    let stop = crew.stop_token();
    crew.spawn_quietly("warden", listening.run(async || Vec::new(), stop));
    Bench { bus, ambient, crew, handle }
}

impl Bench {
    fn states(&self) -> Vec<(String, WorkerState)> {
        self.handle.workers().into_iter().map(|w| (w.worker, w.state)).collect()
    }

    fn state(&self, worker: &str) -> WorkerState {
        let states = self.states();
        let found = states.iter().find(|(name, _)| name == worker);
        found.map_or(WorkerState::Unknown, |(_, state)| *state)
    }

    fn order(&self, worker: &str) {
        let order = WorkerControl {
            worker: "ignored: the subject counts".into(),
            action: ControlAction::Stop,
            requested_by: "ada".into(),
        };
        let mut event = Event::new(
            &self.ambient,
            Payload::WorkerControl(WorkerControl { worker: worker.into(), ..order.clone() }),
        );
        event.payload = Payload::WorkerControl(order);
        self.bus.publish(&event);
    }

    async fn until(&self, worker: &str, state: WorkerState) {
        let waiting = async {
            while self.state(worker) != state {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        assert!(reached.is_ok(), "{worker} is {:?}, not {state:?}", self.state(worker));
    }
}

#[tokio::test]
async fn who_beats_is_ok_and_who_does_not_is_unknown() {
    let bench = bench(Bus::embedded("test")).await;
    for worker in ["mutator", "observer", "bus"] {
        bench.until(worker, WorkerState::Ok).await;
    }
    assert_eq!(bench.state("silent"), WorkerState::Unknown);
    let workers = bench.handle.workers();
    assert_eq!(workers[1].figures["done_total"], 3);
    assert!(workers[0].figures.contains_key("published"), "{workers:?}");
    assert!(STALE_AFTER == Duration::from_secs(90));
    bench.crew.end(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_order_stops_one_worker_and_no_other() {
    let mut bench = bench(Bus::embedded("test")).await;
    bench.until("mutator", WorkerState::Ok).await;
    bench.order("nobody");
    bench.order("mutator");
    bench.until("mutator", WorkerState::Stopped).await;
    assert_eq!(bench.handle.workers()[1].stopped_by.as_deref(), Some("ada"));
    // It has ended, and that is no reason for the process to end.
    let ended = tokio::time::timeout(Duration::from_millis(100), bench.crew.ended()).await;
    assert!(ended.is_err(), "{ended:?} ended without being asked to");
    assert_eq!(bench.state("observer"), WorkerState::Ok);
    bench.crew.end(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn with_the_bus_off_nobody_is_known_and_nothing_spins() {
    let bench = bench(Bus::off()).await;
    let stop = CancellationToken::new();
    tokio::time::timeout(Duration::from_millis(50), stop.cancelled()).await.unwrap_err();
    assert_eq!(bench.state("mutator"), WorkerState::Unknown);
    bench.crew.end(Duration::from_secs(5)).await;
}
