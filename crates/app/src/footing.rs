//! What a process stands on before it has threads: its log, its user, its root helper.
//!
//! A service with the netns driver that is started with privilege starts the helper and gives all
//! of it up for good; root gives its directories to an ordinary user and becomes that user. Any
//! other service stays what it is.

use std::{io, os::unix::net::UnixStream};

use fleet::{
    Helper,
    privilege::{self, Account, AccountError, DropError, HandOverError},
};
use tokio::io::Interest;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    config::{Config, DriverChoice},
    log::{self, LogLines},
    up::reach,
};

/// Who serves where no other user is named and root owns the data: the first that there is.
const USUAL_USERS: [&str; 2] = ["morgana", "nobody"];

/// Why there is nothing to stand on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FootingError {
    /// Whom to become.
    #[error("cannot tell whom to become (keys `fleet.user` and `bus.socket_group`)")]
    Account(#[from] AccountError),
    /// Their directories.
    #[error("cannot prepare the directories (keys `data_dir` and `bus.streams_dir`)")]
    HandOver(#[from] HandOverError),
    /// The helper.
    #[error("cannot start the root helper")]
    Helper(#[source] io::Error),
    /// What there is to give up.
    #[error("cannot tell what privilege there is")]
    Privilege(#[source] io::Error),
    /// The rest.
    #[error("cannot give up privilege")]
    Drop(#[from] DropError),
}

/// What the service starts with.
pub(crate) struct Footing {
    /// The lines of the log that others should hear of.
    pub(crate) lines: LogLines,
    /// Who does what needs privilege, where this process has none any more.
    pub(crate) helper: Option<Helper>,
    /// Whether it was root before.
    pub(crate) was_root: bool,
}

impl Footing {
    /// Starts logging, and gives up what is not needed. To be called before there are threads.
    pub(crate) fn find(config: &Config) -> Result<Self, FootingError> {
        let (lines, was_root) = (log::start(config), privilege::is_root());
        let is_privileged = || privilege::is_privileged().map_err(FootingError::Privilege);
        let helper = match config.driver {
            DriverChoice::Netns if was_root => give_up_root(config)?,
            DriverChoice::Netns if is_privileged()? => Some(give_up_capabilities(config)?),
            DriverChoice::Netns | DriverChoice::Loopback | DriverChoice::Fake => None,
        };
        Ok(Self { lines, helper, was_root })
    }
}

/// Of an ordinary user whom somebody gave them, as the unit of `morgana service` does.
fn give_up_capabilities(config: &Config) -> Result<Helper, FootingError> {
    let helper = Helper::start(&reach(config)).map_err(FootingError::Helper)?;
    privilege::keep_nothing()?;
    info!("capabilities are given up; the root helper makes what needs them");
    Ok(helper)
}

fn give_up_root(config: &Config) -> Result<Option<Helper>, FootingError> {
    let account = account(config)?;
    if account.is_root() {
        warn!("the service stays root, as fleet.user says: visitors meet a privileged process");
        return Ok(None);
    }
    for directory in [&config.data_dir, &config.streams_dir()] {
        privilege::hand_over(directory, &account)?;
    }
    let helper = Helper::start(&reach(config)).map_err(FootingError::Helper)?;
    privilege::become_user(&account)?;
    info!(user = account.name, "root is given up; the root helper makes what needs it");
    Ok(Some(helper))
}

fn account(config: &Config) -> Result<Account, AccountError> {
    let account = match &config.netns.user {
        Some(user) => Account::named(user)?,
        None => match Account::owner_of(&config.data_dir) {
            Some(owner) => owner,
            None => Account::first_of(&USUAL_USERS)?,
        },
    };
    Ok(match &config.bus.socket_group {
        Some(group) => account.also_in(privilege::group(group)?),
        None => account,
    })
}

/// Says so when the helper has ended before its time. What is there works without it.
pub(crate) async fn tell_when_ended(life: UnixStream, stop: CancellationToken) {
    tokio::select! {
        biased;
        () = stop.cancelled() => return,
        ended = ended(life) => match ended {
            Ok(()) => error!("{GONE}"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(error, "the root helper cannot be watched");
            }
        }
    }
    stop.cancelled().await;
}

const GONE: &str = "the root helper has ended: deckies go on, but none of a new kind and no new \
                    port can be made; restart Morgana";

async fn ended(life: UnixStream) -> io::Result<()> {
    life.set_nonblocking(true)?;
    let life = tokio::net::UnixStream::from_std(life)?;
    life.ready(Interest::READABLE).await.map(drop)
}
