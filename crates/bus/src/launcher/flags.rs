//! nats-server's command line, as Go's flags are read: `-name value`, `--name=value`, switches
//! without a value.

/// A flag that this launcher knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    Port,
    Host,
    HttpPort,
    Config,
    Check,
    Name,
    User,
    Pass,
    Token,
    JetStream,
    StoreDir,
    LogFile,
    LogTime,
    PidFile,
    Debug,
    Trace,
    DebugAndTrace,
    Tls,
    TlsCert,
    TlsKey,
    TlsCa,
    TlsVerify,
    Signal,
    Version,
    Help,
    /// Has a value, and no effect here.
    IgnoredValue,
    /// What this server does not do.
    Unsupported,
}

/// Whether a flag is a switch, or is followed by its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
}

impl Flag {
    fn named(name: &str) -> Option<Flag> {
        Some(match name {
            "p" | "port" => Flag::Port,
            "a" | "addr" | "net" => Flag::Host,
            "m" | "http_port" => Flag::HttpPort,
            "c" | "config" => Flag::Config,
            "t" => Flag::Check,
            "n" | "name" | "server_name" => Flag::Name,
            "user" => Flag::User,
            "pass" => Flag::Pass,
            "auth" => Flag::Token,
            "js" | "jetstream" => Flag::JetStream,
            "sd" | "store_dir" => Flag::StoreDir,
            "l" | "log" => Flag::LogFile,
            "T" | "logtime" => Flag::LogTime,
            "P" | "pid" => Flag::PidFile,
            "D" | "debug" => Flag::Debug,
            "V" | "VV" | "trace" => Flag::Trace,
            "DV" | "DVV" => Flag::DebugAndTrace,
            "tls" => Flag::Tls,
            "tlscert" => Flag::TlsCert,
            "tlskey" => Flag::TlsKey,
            "tlscacert" => Flag::TlsCa,
            "tlsverify" => Flag::TlsVerify,
            "sl" | "signal" => Flag::Signal,
            "v" | "version" => Flag::Version,
            "h" | "help" => Flag::Help,
            "log_size_limit" | "max_traced_msg_len" | "profile" | "client_advertise"
            | "connect_retries" | "no_advertise" => Flag::IgnoredValue,
            "routes" | "cluster" | "cluster_name" | "cluster_listen" | "cluster_advertise"
            | "ms" | "https_port" | "s" | "syslog" | "r" | "remote_syslog" | "ports_file_dir" => {
                Flag::Unsupported
            }
            _ => return None,
        })
    }

    fn takes(self) -> Takes {
        match self {
            Flag::Check
            | Flag::JetStream
            | Flag::LogTime
            | Flag::Debug
            | Flag::Trace
            | Flag::DebugAndTrace
            | Flag::Tls
            | Flag::TlsVerify
            | Flag::Version
            | Flag::Help => Takes::Nothing,
            Flag::Port
            | Flag::Host
            | Flag::HttpPort
            | Flag::Config
            | Flag::Name
            | Flag::User
            | Flag::Pass
            | Flag::Token
            | Flag::StoreDir
            | Flag::LogFile
            | Flag::PidFile
            | Flag::TlsCert
            | Flag::TlsKey
            | Flag::TlsCa
            | Flag::Signal
            | Flag::IgnoredValue
            | Flag::Unsupported => Takes::Value,
        }
    }
}

/// A flag as it was given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) flag: Flag,
    /// As it was written, for messages.
    pub(super) name: String,
    /// Empty for a switch, `false` where it is switched off.
    pub(super) value: String,
}

impl Given {
    /// Whether a switch is on.
    pub(super) fn on(&self) -> bool {
        !matches!(self.value.as_str(), "false" | "f" | "F" | "0")
    }
}

/// Reads a command line without the program's name.
///
/// # Errors
/// A line that says what is wrong.
pub(super) fn read(arguments: impl IntoIterator<Item = String>) -> Result<Vec<Given>, String> {
    let mut arguments = arguments.into_iter();
    let mut all = Vec::new();
    while let Some(argument) = arguments.next() {
        let Some(text) = argument.strip_prefix('-') else {
            return Err(format!("unrecognized command: {argument:?}"));
        };
        let text = text.strip_prefix('-').unwrap_or(text);
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let unknown = || format!("flag provided but not defined: -{name}");
        let flag = Flag::named(name).ok_or_else(unknown)?;
        let value = match (flag.takes(), inline) {
            (_, Some(value)) => value,
            (Takes::Nothing, None) => String::new(),
            (Takes::Value, None) => {
                arguments.next().ok_or_else(|| format!("flag needs an argument: -{name}"))?
            }
        };
        all.push(Given { flag, name: name.to_owned(), value });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<&[(Flag, &str)], &str>) {
        let given = read(line.split_whitespace().map(str::to_owned));
        let found = match &given {
            Ok(all) => Ok(all.iter().map(|one| (one.flag, one.value.as_str())).collect()),
            Err(fault) => Err(fault.as_str()),
        };
        assert_eq!(found, expected.map(<[_]>::to_vec), "{line}");
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        check("", Ok(&[]));
        check(
            "-p 4222 --port=-1 -a 127.0.0.1 -sd=/tmp/x",
            Ok(&[
                (Flag::Port, "4222"),
                (Flag::Port, "-1"),
                (Flag::Host, "127.0.0.1"),
                (Flag::StoreDir, "/tmp/x"),
            ]),
        );
        check("-p -1 -js", Ok(&[(Flag::Port, "-1"), (Flag::JetStream, "")]));
        check(
            "--tls --tlscert a -DV -T=false",
            Ok(&[
                (Flag::Tls, ""),
                (Flag::TlsCert, "a"),
                (Flag::DebugAndTrace, ""),
                (Flag::LogTime, "false"),
            ]),
        );
        check("--signal ldm=77", Ok(&[(Flag::Signal, "ldm=77")]));
        check("--user", Err("flag needs an argument: -user"));
        check("--colour blue", Err("flag provided but not defined: -colour"));
        check("help", Err("unrecognized command: \"help\""));
    }
}
