//! Commands: what in-process clients and the broker's handle ask of the I/O thread.

use std::{sync::Arc, time::Duration};

use rustix::event::epoll::EventFlags;

use super::{
    batch::OutgoingRef,
    command::Command,
    connection::{Blame, Close, Connection, Phase},
    io::{Io, Listeners},
    lame_duck::LameDuck,
    local::{LocalOptions, LocalSink},
    locals::Local,
    table::{Owner, Subscription},
};
use crate::{
    auth::{Account, Auth, AuthError, User},
    matcher::valid_filter,
    proto::{ConnectOptions, ErrText, write},
};

impl Io {
    pub(super) fn obey(&mut self) {
        let queue = Arc::clone(&self.router.queue);
        queue.woken();
        let mut commands = std::mem::take(&mut self.commands);
        queue.take(&mut commands);
        for command in commands.drain(..) {
            self.obey_one(command);
        }
        self.commands = commands;
    }

    fn obey_one(&mut self, command: Command) {
        match command {
            Command::Publish { id, message } => self.publish_local(id, [message.borrowed()]),
            Command::PublishBatch { id, batch } => self.publish_local(id, batch.iter()),
            Command::Subscribe { id, sid, filter, group } => {
                self.subscribe_local(id, sid, filter, group);
            }
            Command::Unsubscribe { id, sid, max } => self.unsubscribe_local(id, sid, max),
            Command::OpenLocal { id, options, sink } => self.open_local(id, options, sink),
            Command::CloseLocal { id } => self.close_local(id),
            // Commands are done in order, so whoever hears this knows that all before are done.
            Command::Flush { done } => drop(done.send(())),
            Command::Adopt { stream, peer } => self.adopt(stream, peer),
            Command::SignedIn { index, cid, options, outcome } => {
                self.signed_in(index, cid, *options, outcome);
            }
            Command::Stats { reply } => drop(reply.send(self.report())),
            Command::SetAuth { auth } => self.set_auth(&auth),
            Command::LameDuck { grace, spread } => self.begin_lame_duck(grace, spread),
            Command::CloseConnection { cid } => self.close_where(&Close::Asked, |c| c.cid == cid),
            Command::Open => self.watch_listeners(EventFlags::IN),
            Command::Stop => self.stopping = true,
        }
    }

    fn open_local(&mut self, id: u64, options: LocalOptions, sink: Box<dyn LocalSink>) {
        let local = Local::new(id, options, sink, self.router.limits.max_pending_local);
        let place = self.router.locals.insert(local);
        self.router.local_places.insert(id, place);
    }

    /// The authenticating threads answered; the client may be gone, and the users others.
    fn signed_in(
        &mut self,
        index: u32,
        cid: u64,
        options: ConnectOptions,
        outcome: Result<Arc<User>, AuthError>,
    ) {
        let Some(connection) = self.router.connections.get(index) else { return };
        if connection.cid != cid || !matches!(connection.phase, Phase::SigningIn(_)) {
            return;
        }
        let auth = Arc::clone(&self.router.auth);
        let outcome = outcome.and_then(|user| {
            if auth.still_valid(&user) { Ok(user) } else { Err(AuthError::Refused) }
        });
        self.router.signed_in(index, options, outcome);
        self.resume(index);
    }

    fn set_auth(&mut self, auth: &Arc<Auth>) {
        self.router.auth = Arc::clone(auth);
        let why = Close::told(Blame::Auth, &ErrText::AuthorizationViolation);
        self.close_where(&why, |connection| {
            connection.user.as_ref().is_some_and(|user| !auth.still_valid(user))
        });
    }

    fn publish_local<'a>(&mut self, id: u64, messages: impl IntoIterator<Item = OutgoingRef<'a>>) {
        let Some(&place) = self.router.local_places.get(&id) else { return };
        for message in messages {
            self.router.publish_local(place, &message);
        }
    }

    fn subscribe_local(&mut self, id: u64, sid: u64, filter: Box<[u8]>, group: Option<Box<[u8]>>) {
        let Some(&index) = self.router.local_places.get(&id) else { return };
        let Some(local) = self.router.locals.get_mut(index) else { return };
        if local.sids.contains_key(&sid) || !valid_filter(&filter) {
            return;
        }
        let owner = Owner::Local { index, sid };
        let new = Subscription {
            owner,
            account: Account::MAIN,
            sid: Box::default(),
            filter,
            group,
            delivered: 0,
            max: 0,
            checked: false,
        };
        local.sids.insert(sid, self.router.table.insert(new));
    }

    fn unsubscribe_local(&mut self, id: u64, sid: u64, max: Option<u64>) {
        let Some(&index) = self.router.local_places.get(&id) else { return };
        let Some(local) = self.router.locals.get(index) else { return };
        if let Some(&route) = local.sids.get(&sid) {
            self.router.unsubscribe_after(route, max);
        }
    }

    fn close_local(&mut self, id: u64) {
        let Some(index) = self.router.local_places.remove(&id) else { return };
        let Some(mut local) = self.router.locals.remove(index) else { return };
        local.hand_over();
        for route in std::mem::take(&mut local.sids).into_values() {
            self.router.table.remove(route);
        }
    }

    pub(super) fn close_where(&mut self, why: &Close, goes: impl Fn(&Connection) -> bool) {
        let going = self.router.connections.iter().filter(|(_, connection)| goes(connection));
        for index in going.map(|(index, _)| index).collect::<Vec<_>>() {
            self.router.close(index, why.clone());
        }
    }

    /// Stops listening, and tells clients that know what that means.
    fn begin_lame_duck(&mut self, grace: Duration, spread: Duration) {
        self.listeners = Listeners { tcp: None, unix: None };
        self.info.ldm = true;
        let mut line = Vec::new();
        write::info(&mut line, &self.info.to_json());
        let told = self.router.connections.iter().filter(|(_, c)| c.options.protocol > 0);
        for index in told.map(|(index, _)| index).collect::<Vec<_>>() {
            self.router.say(index, &line);
        }
        let clients = self.router.connections.len();
        self.lame_duck = Some(LameDuck::new(self.router.now, grace, spread, clients));
    }

    /// Closes the clients whose turn it is, those with the oldest connections first.
    pub(super) fn thin_out(&mut self) {
        let now = self.router.now;
        let Some(due) = self.lame_duck.as_mut().map(|duck| duck.due(now)) else { return };
        let mut clients: Vec<_> =
            self.router.connections.iter().map(|(index, c)| (c.cid, index)).collect();
        clients.sort_unstable();
        for (_, index) in clients.into_iter().take(due) {
            self.router.close(index, Close::Asked);
        }
    }
}
