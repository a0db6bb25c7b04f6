//! A broker's numbers, asked for not more often than they are worth it.
//!
//! The broker puts them together on the thread that passes messages, in a time that grows with its
//! clients; whoever asks for pages must not keep it from that.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};

use crate::broker::{Broker, BrokerStats};

/// How old they may be.
const RECENT: Duration = Duration::from_millis(100);

/// The latest numbers of a broker.
pub(super) struct Recent {
    broker: Broker,
    /// Held while the broker is asked, so that who comes meanwhile gets the same answer.
    last: Mutex<Option<(Instant, Arc<BrokerStats>)>>,
}

impl Recent {
    pub(super) fn new(broker: &Broker) -> Self {
        Self { broker: broker.clone(), last: Mutex::default() }
    }

    /// None where the broker ended.
    pub(super) async fn stats(&self) -> Option<Arc<BrokerStats>> {
        let mut last = self.last.lock().await;
        if let Some((at, stats)) = &*last
            && at.elapsed() < RECENT
        {
            return Some(Arc::clone(stats));
        }
        let stats = Arc::new(self.broker.stats().await?);
        *last = Some((Instant::now(), Arc::clone(&stats)));
        Some(stats)
    }

    /// Those of this moment.
    pub(super) async fn anew(&self) -> Option<Arc<BrokerStats>> {
        *self.last.lock().await = None;
        self.stats().await
    }
}
