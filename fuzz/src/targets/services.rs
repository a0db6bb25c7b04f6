//! The decoys that speak in lines.

use model::Service;

use super::{Target, visit};
use crate::Trace;

/// Bytes of a web client. Their number decides on the persona.
pub(super) const HTTP: Target = Target {
    name: "http",
    about: "the web server: every cut of the same input gives the same output",
    words: &[
        "GET ", "POST ", "HEAD ", "OPTIONS ", "PUT ", "CONNECT ", "/", "/admin/", "/login",
        "/robots.txt", "/.git/config", "/wp-login.php", " HTTP/1.1\r\n", " HTTP/1.0\r\n", "HTTP/2.0",
        "Host: a\r\n", "Content-Length: ", "Transfer-Encoding: chunked\r\n", "Connection: close\r\n",
        "Connection: keep-alive\r\n", "Expect: 100-continue\r\n", "Range: bytes=0-", "\r\n\r\n",
        "\r\n", "\n", "0\r\n\r\n", "ffffffffffffffff\r\n", "5;x=y\r\n", "Authorization: Basic ",
        "cm9vdDpyb290", "Cookie: ", "If-Modified-Since: ", "username=root&password=", "%2e%2e/",
        "%00", "%", "?", "#", "http://a/", "\t", " ", ":", "\0", "User-Agent: ", "Accept: */*\r\n",
        "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    ],
    mutation: None,
    run: |input, trace| run(Service::Http, input, trace),
};

/// Bytes of a redis client.
pub(super) const REDIS: Target = Target {
    name: "redis",
    about: "redis: every cut of the same input gives the same output",
    words: &[
        "*1\r\n$4\r\nPING\r\n", "*2\r\n", "*3\r\n", "*-1\r\n", "$-1\r\n", "$0\r\n\r\n", "$", "*",
        "\r\n", "PING", "AUTH", "CONFIG", "SET", "GET", "dir", "dbfilename", "SAVE", "BGSAVE",
        "SLAVEOF", "REPLICAOF", "MODULE", "LOAD", "EVAL", "INFO", "KEYS", "SCAN", "FLUSHALL",
        "HELLO 3", "CLIENT", "SETNAME", "LIST", "DEL", "INCR", "APPEND", "SETRANGE", "MULTI", "EXEC",
        "DISCARD", "SUBSCRIBE", "PSUBSCRIBE", "MONITOR", "QUIT", "RESET", "SELECT 0", "EXPIRE",
        "TTL", "TYPE", "EXISTS", "DBSIZE", "COMMAND", "COUNT", "DEBUG", "OBJECT", "\"", "'", "\\x41",
        "EX", "PX", "NX", "536870912", "MATCH", "HSET", "LPUSH", "LRANGE", "SADD", "ZADD", "GETRANGE",
    ],
    mutation: None,
    run: |input, trace| run(Service::Redis, input, trace),
};

/// Bytes on the control connection of an FTP client.
pub(super) const FTP: Target = Target {
    name: "ftp",
    about: "FTP with its data connection: every cut of the same input gives the same output",
    words: &[
        "USER ", "PASS ", "root\r\n", "anonymous\r\n", "PASV\r\n", "EPSV\r\n", "EPSV ALL\r\n",
        "PORT 10,66,1,10,0,20\r\n", "EPRT |1|10.66.1.10|20|\r\n", "LIST\r\n", "NLST\r\n", "LIST -la ",
        "RETR ", "STOR ", "APPE ", "STOU\r\n", "REST ", "CWD ", "CDUP\r\n", "PWD\r\n", "MKD ", "RMD ",
        "DELE ", "RNFR ", "RNTO ", "SIZE ", "MDTM ", "TYPE I\r\n", "TYPE A\r\n", "MODE S\r\n",
        "STRU F\r\n", "SYST\r\n", "FEAT\r\n", "HELP\r\n", "NOOP\r\n", "STAT\r\n", "SITE CHMOD ",
        "ABOR\r\n", "QUIT\r\n", "OPTS UTF8 ON\r\n", "AUTH TLS\r\n", "../", "/", "*", "-", "\r\n", "\n",
        "\r", "\u{fffd}", "\0",
    ],
    mutation: None,
    run: |input, trace| run(Service::Ftp, input, trace),
};

fn run(service: Service, input: &[u8], trace: &mut Trace) {
    visit::check(service, &visit::persona(input.len()), input, trace);
}
