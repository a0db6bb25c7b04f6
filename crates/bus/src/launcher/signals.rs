//! What a process is told from outside, as a value, so that tests can say it without signals.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

/// What a running server can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Read the configuration again (SIGHUP).
    Reload,
    /// Open the log file again (SIGUSR1).
    Reopen,
    /// Tell clients to go elsewhere, then stop (SIGUSR2).
    LameDuck,
    /// Stop (SIGTERM, SIGINT).
    Stop,
}

/// Where orders come from.
#[derive(Debug)]
pub struct Signals {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Process {
        reload: Signal,
        reopen: Signal,
        lame_duck: Signal,
        terminate: Signal,
        interrupt: Signal,
    },
    Channel(mpsc::Receiver<Order>),
    Nobody,
}

impl Signals {
    /// The signals of this process, from now on.
    ///
    /// # Errors
    /// They cannot be caught.
    pub fn of_process() -> io::Result<Signals> {
        let source = Source::Process {
            reload: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            lame_duck: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        Ok(Signals { source })
    }

    /// Orders that a program gives itself.
    pub fn channel(orders: mpsc::Receiver<Order>) -> Signals {
        Signals { source: Source::Channel(orders) }
    }

    /// None, ever.
    pub fn nobody() -> Signals {
        Signals { source: Source::Nobody }
    }

    /// The next order. Cancel-safe.
    pub async fn next(&mut self) -> Order {
        match &mut self.source {
            Source::Process { reload, reopen, lame_duck, terminate, interrupt } => {
                // Cancel-safe, each of them: a signal that was not taken is there next time.
                tokio::select! {
                    _ = reload.recv() => Order::Reload,
                    _ = reopen.recv() => Order::Reopen,
                    _ = lame_duck.recv() => Order::LameDuck,
                    _ = terminate.recv() => Order::Stop,
                    _ = interrupt.recv() => Order::Stop,
                }
            }
            Source::Channel(orders) => match orders.recv().await {
                Some(order) => order,
                None => std::future::pending().await,
            },
            Source::Nobody => std::future::pending().await,
        }
    }
}
