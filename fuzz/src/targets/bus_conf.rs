//! nats-server's configuration format: any text is read or refused with words, within bounds.

use std::path::Path;

use bus::{
    auth::Auth,
    natsconf::{MAX_DEPTH, MAX_VALUES, Map, Outside, ServerConf, Value, parse},
};

use super::Target;
use crate::Trace;

/// A file; `self` includes it again, and every variable of the environment is `outside`.
pub(super) const TARGET: Target = Target {
    name: "bus_conf",
    about: "nats-server's configuration: read within bounds or refused with a place and words",
    words: &[
        "include self\n",
        "$outside",
        "$a",
        "a: 1\n",
        "port: -1\n",
        "listen: ",
        "authorization { users = [ ",
        "{user: a, password: b}",
        "permissions { publish { allow: ",
        "allow_responses: true",
        "accounts { A { users: [",
        "no_auth_user: a\n",
        "jetstream { max_mem: 1GB }\n",
        "tls { verify: true, timeout: 0.5 }\n",
        "max_payload: 1MB\n",
        "ping_interval: \"2m\"\n",
        "$2a$04$",
        "'''",
        "\"\\x41\"",
        "(",
        "//",
        "{[",
        "]}",
    ],
    mutation: None,
    run,
};

/// Deep enough to tell an endless structure from a bounded one.
const DEEP: usize = MAX_DEPTH + 2;

fn run(input: &[u8], trace: &mut Trace) {
    let text = String::from_utf8_lossy(input);
    let again = |path: &Path| match path.ends_with("self") {
        true => Ok(text.to_string()),
        false => Err(std::io::ErrorKind::NotFound.into()),
    };
    let variable = |name: &str| (name == "outside").then(|| "7".to_owned());
    let outside = Outside { include: &again, variable: &variable };
    match parse("file", &text, &outside) {
        Ok(map) => taken(map, trace),
        Err(fault) => {
            assert!(fault.place.line >= 1 && !fault.what.is_empty(), "{fault}");
            trace.note(fault.what);
        }
    }
}

fn taken(map: Map, trace: &mut Trace) {
    let mut values = 0;
    count(&map, 0, &mut values);
    assert!(values <= MAX_VALUES, "{values} values");
    match ServerConf::new(map) {
        Ok(conf) => {
            let seen = (conf.jetstream, conf.tls, conf.listen, conf.warnings.len());
            trace.note(format!("{seen:?}"));
            if let Some(rules) = conf.auth {
                trace.note(Auth::new(rules).is_ok());
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            trace.note(faults.iter().map(|fault| fault.what.clone()).collect::<Vec<_>>());
        }
    }
}

fn count(map: &Map, depth: usize, values: &mut usize) {
    for (_, node) in map.entries() {
        count_value(&node.value, depth, values);
    }
}

fn count_value(value: &Value, depth: usize, values: &mut usize) {
    assert!(depth <= DEEP, "deeper than {DEEP}");
    *values += 1;
    match value {
        Value::Map(map) => count(map, depth + 1, values),
        Value::Array(nodes) => {
            nodes.iter().for_each(|node| count_value(&node.value, depth + 1, values));
        }
        Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {}
    }
}
