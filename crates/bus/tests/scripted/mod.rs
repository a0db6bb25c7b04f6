//! A bus elsewhere that does what it is told to.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, Mutex},
};

use model::{JournalEntry, SubjectFilter, SystemLog};
use morgana_bus::{BoxFuture, Connection, Connector, Incoming, LinkError, SubscriptionId};
use tokio::sync::mpsc;

/// What comes of a try to connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Try {
    Accept,
    Refuse,
    Hang,
}

#[derive(Clone)]
pub(crate) struct Broker {
    state: Arc<Mutex<State>>,
}

struct State {
    script: VecDeque<Try>,
    tries: usize,
    published: Vec<String>,
    subscriptions: BTreeMap<SubscriptionId, SubjectFilter>,
    to_connection: Option<mpsc::UnboundedSender<Incoming>>,
    said_goodbye: bool,
}

impl Broker {
    /// Plays `script`, then accepts.
    pub(crate) fn new(script: impl IntoIterator<Item = Try>) -> Self {
        let state = State {
            script: script.into_iter().collect(),
            tries: 0,
            published: vec![],
            subscriptions: BTreeMap::new(),
            to_connection: None,
            said_goodbye: false,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn tries(&self) -> usize {
        self.state.lock().unwrap().tries
    }

    pub(crate) fn published(&self) -> Vec<String> {
        self.state.lock().unwrap().published.clone()
    }

    pub(crate) fn subscriptions(&self) -> usize {
        self.state.lock().unwrap().subscriptions.len()
    }

    pub(crate) fn said_goodbye(&self) -> bool {
        self.state.lock().unwrap().said_goodbye
    }

    pub(crate) fn lose_connection(&self) {
        self.state.lock().unwrap().to_connection = None;
    }
}

impl Connector for Broker {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, LinkError>> {
        Box::pin(async move {
            let next = {
                let mut state = self.state.lock().unwrap();
                state.tries += 1;
                state.script.pop_front().unwrap_or(Try::Accept)
            };
            match next {
                Try::Hang => std::future::pending().await,
                Try::Refuse => Err(LinkError::Transport(io::ErrorKind::ConnectionRefused.into())),
                Try::Accept => {
                    let (to_connection, incoming) = mpsc::unbounded_channel();
                    let mut state = self.state.lock().unwrap();
                    state.subscriptions.clear();
                    state.to_connection = Some(to_connection);
                    let connection = Scripted { broker: self.clone(), incoming };
                    Ok(Box::new(connection) as Box<dyn Connection>)
                }
            }
        })
    }
}

struct Scripted {
    broker: Broker,
    incoming: mpsc::UnboundedReceiver<Incoming>,
}

impl Connection for Scripted {
    fn publish<'a>(&'a mut self, entry: &'a JournalEntry) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async move {
            let mut state = self.broker.state.lock().unwrap();
            let line: SystemLog = serde_json::from_str(entry.payload.get()).unwrap();
            state.published.push(line.message);
            let sender = state.to_connection.as_ref().ok_or(LinkError::Ended)?;
            for (id, filter) in &state.subscriptions {
                if filter.matches(&entry.topic) {
                    let entry = Arc::new(entry.clone());
                    let _ = sender.send(Incoming::Event { subscription: *id, entry });
                }
            }
            Ok(())
        })
    }

    fn subscribe<'a>(
        &'a mut self,
        id: SubscriptionId,
        filter: &'a SubjectFilter,
    ) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async move {
            self.broker.state.lock().unwrap().subscriptions.insert(id, filter.clone());
            Ok(())
        })
    }

    fn unsubscribe(&mut self, id: SubscriptionId) -> BoxFuture<'_, Result<(), LinkError>> {
        Box::pin(async move {
            self.broker.state.lock().unwrap().subscriptions.remove(&id);
            Ok(())
        })
    }

    fn receive(&mut self) -> BoxFuture<'_, Result<Incoming, LinkError>> {
        Box::pin(async move { self.incoming.recv().await.ok_or(LinkError::Ended) })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), LinkError>> {
        Box::pin(async move {
            self.broker.state.lock().unwrap().said_goodbye = true;
            Ok(())
        })
    }
}
