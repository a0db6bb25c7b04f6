//! The JSON of INFO and CONNECT.

use std::{fmt, net::IpAddr};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// What a server tells first. Optional keys are absent where they do not hold, never false: stock
/// clients look at whether they are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerInfo {
    /// A name of this run of the server.
    pub server_id: String,
    /// A name that an operator gave.
    pub server_name: String,
    /// Three numbers: clients choose what to use by it.
    pub version: String,
    /// The protocol that clients may speak: 1.
    pub proto: i32,
    /// What the server is built with.
    pub go: String,
    /// The address that it listens on.
    pub host: String,
    /// The port of that.
    pub port: u16,
    /// Whether messages may have headers.
    pub headers: bool,
    /// Bytes of the largest message, headers included.
    pub max_payload: usize,
    /// The server's number of this connection.
    pub client_id: u64,
    /// Where this client comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<IpAddr>,
    /// CONNECT must have credentials.
    #[serde(skip_serializing_if = "is_false")]
    pub auth_required: bool,
    /// TLS begins after this line.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_required: bool,
    /// TLS may begin after this line.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_available: bool,
    /// A certificate is asked for.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_verify: bool,
    /// Durable streams are there.
    #[serde(skip_serializing_if = "is_false")]
    pub jetstream: bool,
    /// The server is about to close: go elsewhere.
    #[serde(skip_serializing_if = "is_false")]
    pub ldm: bool,
    /// What a client with an nkey signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Other addresses of the cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    /// The cluster's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The server's key for encrypted callouts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xkey: Option<String>,
}

impl Default for ServerInfo {
    fn default() -> Self {
        ServerInfo {
            server_id: String::new(),
            server_name: String::new(),
            version: String::new(),
            proto: 1,
            go: String::new(),
            host: String::new(),
            port: 0,
            headers: true,
            max_payload: 1 << 20,
            client_id: 0,
            client_ip: None,
            auth_required: false,
            tls_required: false,
            tls_available: false,
            tls_verify: false,
            jetstream: false,
            ldm: false,
            nonce: None,
            connect_urls: Vec::new(),
            cluster: None,
            domain: None,
            xkey: None,
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl ServerInfo {
    /// Reads the JSON of an INFO.
    ///
    /// # Errors
    /// Where it is no object of that form.
    pub fn parse(json: &[u8]) -> Result<ServerInfo, ConnectError> {
        lenient(json)
    }

    /// The JSON of an INFO, on one line.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What a client says of itself. What is absent has the defaults of nats-server; unknown keys are
/// skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectOptions {
    /// Wants a `+OK` for everything.
    pub verbose: bool,
    /// Wants subjects of publishes checked.
    pub pedantic: bool,
    /// Wants its own messages too.
    pub echo: bool,
    /// Understands HMSG.
    pub headers: bool,
    /// Wants to be told where nobody hears a request.
    pub no_responders: bool,
    /// Expects TLS.
    pub tls_required: bool,
    /// 0, or 1 where it understands an INFO at any time.
    pub protocol: i64,
    /// What the client is called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The language of its library.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lang: String,
    /// The version of its library.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// A user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<String>,
    /// A token instead of name and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<String>,
    /// A public key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey: Option<String>,
    /// The signature of the nonce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sig: Option<String>,
    /// A user's JWT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<String>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            verbose: true,
            pedantic: true,
            echo: true,
            headers: false,
            no_responders: false,
            tls_required: false,
            protocol: 0,
            name: String::new(),
            lang: String::new(),
            version: String::new(),
            user: None,
            pass: None,
            auth_token: None,
            nkey: None,
            sig: None,
            jwt: None,
        }
    }
}

/// Why a CONNECT or an INFO cannot be read: nats-server closes without a word.
#[derive(Debug, thiserror::Error)]
#[error("not the JSON that was expected")]
pub struct ConnectError(#[from] serde_json::Error);

impl ConnectOptions {
    /// Reads the JSON of a CONNECT as leniently as nats-server: keys in any case, the last of
    /// several, null as absent, even instead of the object.
    ///
    /// # Errors
    /// Where it is no object, or a value has the wrong type.
    pub fn parse(json: &[u8]) -> Result<ConnectOptions, ConnectError> {
        lenient(json)
    }

    /// Reads the JSON of a further CONNECT on the same connection: what it does not mention stays
    /// as it is.
    ///
    /// # Errors
    /// As of [`ConnectOptions::parse`].
    pub fn parse_again(&self, json: &[u8]) -> Result<ConnectOptions, ConnectError> {
        let mut object = serde_json::from_slice::<Lenient>(&self.to_json())?.0;
        object.extend(read(json)?.0);
        Ok(serde_json::from_value(Value::Object(object))?)
    }

    /// The JSON of a CONNECT, on one line.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn lenient<T: DeserializeOwned>(json: &[u8]) -> Result<T, ConnectError> {
    Ok(serde_json::from_value(Value::Object(read(json)?.0))?)
}

/// Names in other encodings are no reason to refuse somebody: Go replaces what is no UTF-8 too.
fn read(json: &[u8]) -> Result<Lenient, ConnectError> {
    Ok(serde_json::from_str(&String::from_utf8_lossy(json))?)
}

/// An object as Go reads one: keys in any case, of several the last, null says nothing.
struct Lenient(Map<String, Value>);

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(LenientVisitor)
    }
}

struct LenientVisitor;

impl<'de> Visitor<'de> for LenientVisitor {
    type Value = Lenient;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Lenient, E> {
        Ok(Lenient(Map::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Lenient, A::Error> {
        let mut object = Map::new();
        while let Some((key, value)) = entries.next_entry::<String, Value>()? {
            if !value.is_null() {
                object.insert(key.to_ascii_lowercase(), value);
            }
        }
        Ok(Lenient(object))
    }
}
