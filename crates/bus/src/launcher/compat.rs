//! The launcher as `nats-server`: its flags, its configuration, its log, its exit codes.
//!
//! One difference on the safe side: without `-a` it listens on loopback, where nats-server listens
//! everywhere.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    process::ExitCode,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio_util::sync::CancellationToken;
use tracing::Level;

use super::{
    Access, LaunchError, Log, Options, Signals,
    flags::{self, Flag, Given},
    run,
};
use crate::{
    auth::{Account, AuthRules, Login, UserRule},
    natsconf::{self, JetStreamConf, Listen, ServerConf, TlsConf},
    stream::StreamsConfig,
};

/// Where clients connect by default.
const PORT: u16 = 4222;

/// The file name under which a binary behaves as nats-server.
pub const NAME: &str = "nats-server";

const HELP: &str = "\
Usage: nats-server [options]

    -a, --addr, --net <host>     address for clients (default: 127.0.0.1)
    -p, --port <port>            port for clients (default: 4222, -1: any)
    -m, --http_port <port>       port for monitoring (-1: any)
    -c, --config <file>          configuration file
    -t                           check the configuration and exit
    -n, --name <name>            name of the server
        --user, --pass <text>    who must connect
        --auth <token>           or with what token
    -js, --jetstream             serve JetStream
    -sd, --store_dir <dir>       where streams are kept
        --tls, --tlscert, --tlskey, --tlscacert <file>, --tlsverify
    -l, --log <file>             log file
    -T, --logtime                times in the log (default: true)
    -D, -V, -DV                  log more
    -P, --pid <file>             file for the process id
    -sl, --signal <signal>=<pid> ldm, stop, quit, term, reopen, reload; a process id or its file
    -v, --version
";

/// What a command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve.
    Serve(Box<Launch>),
    /// Send a signal to another server.
    Signal {
        /// What to tell it.
        signal: Signal,
        /// Which process.
        pid: Pid,
    },
    /// Write this and end.
    Print(String),
}

/// A server, and how it logs.
#[derive(Debug)]
pub struct Launch {
    /// What to serve.
    pub options: Options,
    /// Where the log goes.
    pub log_file: Option<PathBuf>,
    /// Whether its lines have a time.
    pub log_time: bool,
    /// Whether more is logged.
    pub debug: bool,
    /// What is to be said at the start.
    pub warnings: Vec<String>,
}

/// Runs as nats-server with this command line, without the program's name; returns when it ended.
pub fn main(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    match read(arguments) {
        Ok(Command::Serve(launch)) => serve(*launch),
        Ok(Command::Signal { signal, pid }) => match kill_process(pid, signal) {
            Ok(()) => ExitCode::SUCCESS,
            Err(err) => fail(&format!("cannot signal {}: {err}", pid.as_raw_nonzero())),
        },
        Ok(Command::Print(text)) => {
            println!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Err(faults) => fail(&faults.join("\nnats-server: ")),
    }
}

fn fail(fault: &str) -> ExitCode {
    eprintln!("nats-server: {fault}");
    ExitCode::FAILURE
}

fn serve(launch: Launch) -> ExitCode {
    let log = match &launch.log_file {
        None => Ok(Log::stderr(launch.log_time, launch.debug)),
        Some(path) => Log::file(path, launch.log_time, launch.debug),
    };
    let log = match log {
        Ok(log) => log,
        Err(err) => return fail(&format!("cannot open the log: {err}")),
    };
    log.take_tracing();
    for warning in &launch.warnings {
        log.warn(warning);
    }
    match serving(launch.options, &log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            log.line(Level::ERROR, fault);
            ExitCode::FAILURE
        }
    }
}

fn serving(options: Options, log: &Log) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|err| format!("cannot start threads: {err}"))?;
    runtime.block_on(async {
        let signals =
            Signals::of_process().map_err(|err| format!("cannot catch signals: {err}"))?;
        let served = run(options, log.clone(), signals, CancellationToken::new()).await;
        served.map_err(|err| chain(&err))
    })
}

fn chain(error: &LaunchError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Reads a command line, and the configuration that it names.
///
/// # Errors
/// Everything that is wrong, a line each.
pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Command, Vec<String>> {
    let given = flags::read(arguments).map_err(|fault| vec![fault])?;
    let last = |flag| given.iter().rev().find(|given| given.flag == flag);
    if last(Flag::Help).is_some() {
        return Ok(Command::Print(HELP.into()));
    }
    if last(Flag::Version).is_some() {
        return Ok(Command::Print(format!("nats-server: v{}", crate::broker::VERSION)));
    }
    if let Some(order) = last(Flag::Signal) {
        return signal(&order.value).map_err(|fault| vec![fault]);
    }
    let path = last(Flag::Config).map(|given| PathBuf::from(&given.value));
    let mut draft = Draft::new(path)?;
    let applied = given.iter().map(|given| draft.apply(given));
    let faults: Vec<String> = applied.filter_map(Result::err).collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    let launch = draft.launch().map_err(|fault| vec![fault])?;
    match (last(Flag::Check), last(Flag::Config)) {
        (Some(_), Some(config)) => {
            let path = &config.value;
            Ok(Command::Print(format!("nats-server: configuration file {path} is valid")))
        }
        _ => Ok(Command::Serve(Box::new(launch))),
    }
}

/// `ldm=77`, `reload=/run/nats.pid`. What stops, stops in order: nothing is killed.
fn signal(order: &str) -> Result<Command, String> {
    let (name, target) = order.split_once('=').ok_or("a signal needs `=<pid>`")?;
    let signal = match name {
        "ldm" => Signal::USR2,
        "reload" => Signal::HUP,
        "reopen" => Signal::USR1,
        "stop" | "quit" | "term" => Signal::TERM,
        _ => return Err(format!("unknown signal {name:?}")),
    };
    let number = |text: &str| text.trim().parse::<i32>().ok().filter(|pid| *pid > 0);
    let from_file = || fs::read_to_string(target).ok().and_then(|text| number(&text));
    let pid = number(target).or_else(from_file).and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| format!("{target:?} is neither a process id nor its file"))?;
    Ok(Command::Signal { signal, pid })
}

/// The configuration, with flags on top.
struct Draft {
    conf: ServerConf,
    path: Option<PathBuf>,
    user: Option<String>,
    pass: Option<String>,
    token: Option<String>,
    tls: bool,
}

impl Draft {
    fn new(path: Option<PathBuf>) -> Result<Draft, Vec<String>> {
        let conf = match &path {
            None => ServerConf::default(),
            Some(path) => natsconf::load(path)
                .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?,
        };
        let tls = conf.tls.is_some();
        Ok(Draft { conf, path, user: None, pass: None, token: None, tls })
    }

    fn apply(&mut self, given: &Given) -> Result<(), String> {
        let value = || given.value.clone();
        let conf = &mut self.conf;
        match given.flag {
            Flag::Port => conf.listen.port = Some(port(given)?),
            Flag::Host => {
                conf.listen.host = Some(value());
                conf.monitor.host = None;
            }
            Flag::HttpPort => conf.monitor.port = Some(port(given)?),
            Flag::Name => conf.server_name = Some(value()),
            Flag::User => self.user = Some(value()),
            Flag::Pass => self.pass = Some(value()),
            Flag::Token => self.token = Some(value()),
            Flag::JetStream if given.on() => drop(conf.jetstream.get_or_insert_default()),
            Flag::JetStream => conf.jetstream = None,
            Flag::StoreDir => self.store_dir(value()),
            Flag::LogFile => conf.log_file = Some(value().into()),
            Flag::LogTime => conf.log_time = Some(given.on()),
            Flag::PidFile => conf.pid_file = Some(value().into()),
            Flag::Debug | Flag::DebugAndTrace => conf.debug = given.on(),
            Flag::Tls => self.tls = given.on(),
            Flag::TlsCert => self.tls_conf().cert_file = Some(value().into()),
            Flag::TlsKey => self.tls_conf().key_file = Some(value().into()),
            Flag::TlsCa => self.tls_conf().ca_file = Some(value().into()),
            Flag::TlsVerify => {
                self.tls_conf().verify = given.on();
                self.tls = true;
            }
            Flag::Trace => conf.warnings.push("messages are not traced".into()),
            Flag::IgnoredValue => conf.warnings.push(format!("-{} has no effect", given.name)),
            Flag::Unsupported => return Err(format!("-{} is not supported", given.name)),
            // Looked at before.
            Flag::Config | Flag::Check | Flag::Signal | Flag::Version | Flag::Help => {}
        }
        Ok(())
    }

    /// Alone it does not turn JetStream on.
    fn store_dir(&mut self, dir: String) {
        if let Some(streams) = &mut self.conf.jetstream {
            streams.store_dir = Some(dir.into());
        } else {
            self.conf.store_dir = Some(dir.into());
        }
    }

    fn tls_conf(&mut self) -> &mut TlsConf {
        self.conf.tls.get_or_insert_default()
    }

    fn launch(mut self) -> Result<Launch, String> {
        let access = self.access()?;
        let tcp = address(&self.conf.listen, None, PORT)?;
        let monitor = match self.conf.monitor.port {
            Some(port) => Some(address(&self.conf.monitor, Some(&self.conf.listen), port)?),
            None => None,
        };
        let conf = self.conf;
        let jetstream = conf.jetstream.as_ref();
        let mut account = conf.stream_limits;
        account.max_memory = account.max_memory.or(jetstream.and_then(|conf| conf.max_memory));
        account.max_storage = account.max_storage.or(jetstream.and_then(|conf| conf.max_file));
        let domain = jetstream.and_then(|conf| conf.domain.clone());
        let mut options = Options {
            streams: StreamsConfig { account, domain, ..StreamsConfig::default() },
            name: conf.server_name,
            tcp: Some(tcp),
            monitor,
            limits: conf.limits,
            access,
            store_dir: conf.jetstream.map(|streams| store_dir(streams, conf.store_dir)),
            pid_file: conf.pid_file,
            ..Options::default()
        };
        if let Some(grace) = conf.lame_duck_grace {
            options.lame_duck_grace = grace;
        }
        if let Some(duration) = conf.lame_duck_duration {
            options.lame_duck_spread = duration.saturating_sub(options.lame_duck_grace);
        }
        take_tls(&mut options, self.tls.then(|| conf.tls.unwrap_or_default()))?;
        Ok(Launch {
            options,
            log_file: conf.log_file,
            log_time: conf.log_time.unwrap_or(true),
            debug: conf.debug,
            warnings: conf.warnings,
        })
    }

    /// Flags replace the configuration's users.
    fn access(&mut self) -> Result<Access, String> {
        let by_flag = match (self.user.take(), self.pass.take(), self.token.take()) {
            (None, None, None) => None,
            (Some(name), Some(pass), None) => Some((name, Login::Password(pass))),
            (None, None, Some(token)) => Some(("token".to_owned(), Login::Token(token))),
            (Some(_), Some(_), Some(_)) => return Err("either --user and --pass, or --auth".into()),
            _ => return Err("--user and --pass need one another".into()),
        };
        if let Some((name, login)) = by_flag {
            let users = vec![UserRule { name, login, permissions: None, account: Account::MAIN }];
            let rules = AuthRules { users, ..AuthRules::default() };
            return Ok(Access::Rules { rules, reload: None });
        }
        Ok(match self.conf.auth.take() {
            Some(rules) => Access::Rules { rules, reload: self.path.take() },
            None => Access::Open,
        })
    }
}

/// -1 is any.
fn port(given: &Given) -> Result<u16, String> {
    let text = if given.value == "-1" { "0" } else { &given.value };
    text.parse().map_err(|_| format!("-{}: {:?} is no port", given.name, given.value))
}

/// `other` says the host where `listen` does not.
fn address(listen: &Listen, other: Option<&Listen>, port: u16) -> Result<SocketAddr, String> {
    let port = listen.port.unwrap_or(port);
    let host = listen.host.as_ref().or_else(|| other?.host.as_ref());
    let Some(host) = host else { return Ok((Ipv4Addr::LOCALHOST, port).into()) };
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok((ip, port).into());
    }
    let found = (host.as_str(), port).to_socket_addrs();
    let found: Vec<SocketAddr> =
        found.map_err(|err: io::Error| format!("{host:?}: {err}"))?.collect();
    let first = found.iter().find(|addr| addr.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| format!("{host:?} has no address"))
}

/// As nats-server, below a directory of one's own.
fn store_dir(conf: JetStreamConf, by_flag: Option<PathBuf>) -> PathBuf {
    let usual = || Path::new("/tmp/nats").to_path_buf();
    conf.store_dir.or(by_flag).unwrap_or_else(usual).join("jetstream")
}

#[cfg(feature = "tls")]
fn take_tls(options: &mut Options, conf: Option<TlsConf>) -> Result<(), String> {
    use crate::tls::TlsFiles;
    let Some(conf) = conf else { return Ok(()) };
    let (Some(cert), Some(key)) = (conf.cert_file, conf.key_file) else {
        return Err("TLS needs a certificate and a key".into());
    };
    let mut files = TlsFiles::new(cert, key);
    files.handshake_first = conf.handshake_first;
    files.timeout = conf.timeout.unwrap_or(files.timeout);
    files.client_roots = conf.ca_file.filter(|_| conf.verify);
    if conf.verify && files.client_roots.is_none() {
        return Err("clients' certificates need a CA file".into());
    }
    options.tls = Some(files);
    Ok(())
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::needless_pass_by_value, reason = "as where there is TLS")]
fn take_tls(_: &mut Options, conf: Option<TlsConf>) -> Result<(), String> {
    match conf {
        Some(_) => Err("this build has no TLS".into()),
        None => Ok(()),
    }
}
