//! Drivers that make the network what the desired state says.
//!
//! A [`Driver`] executes the steps of a [`maze::plan`] and says what it observes. It owns the
//! addresses and opens the listeners; whoever serves them (a [`DecoyHost`]) gets them handed over
//! and owns them from then on. Drivers know topologies as rows and steps; they must not know the
//! store, the bus, decoy protocols or async. The only crate that may touch the kernel's
//! configuration or need a privilege.

mod driver;
mod error;
mod fake;
pub mod host;
mod loopback;
mod netns;
pub mod privilege;
mod raw;
mod row;
pub mod switch;

pub use driver::{Bound, DecoyHost, Driver, Endpoint, Gate, Listener, Opened};
pub use error::{FailedStep, StepError};
pub use fake::{Failure, Fake, FakeNetwork};
pub use loopback::{Loopback, LoopbackConfig, LoopbackError, Ports};
pub use netns::{
    DATA_PORTS, DataPorts, MacChoice, Netns, NetnsConfig, NetnsError, Reach, Report, Uplink,
    helper, helper::Helper,
};
