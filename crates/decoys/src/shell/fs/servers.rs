//! What an installed server leaves on the disk: its program, its configuration, its logs.

use std::borrow::Cow;

use model::Timestamp;

use super::{Content, Kind, Node, Stamp};
use crate::{shell::machine::Machine, snmp};

const NGINX: &str = "user www-data;
worker_processes auto;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
include /etc/nginx/modules-enabled/*.conf;

events {
\tworker_connections 768;
}

http {
\tsendfile on;
\ttcp_nopush on;
\tinclude /etc/nginx/mime.types;
\tdefault_type application/octet-stream;
\taccess_log /var/log/nginx/access.log;
\tgzip on;
\tinclude /etc/nginx/conf.d/*.conf;
\tinclude /etc/nginx/sites-enabled/*;
}
";

const NGINX_SITE: &str = "server {
\tlisten 80 default_server;
\tlisten [::]:80 default_server;

\troot /var/www/html;
\tindex index.html index.htm;

\tserver_name _;

\tlocation / {
\t\ttry_files $uri $uri/ =404;
\t}
}
";

const APACHE: &str = "DefaultRuntimeDir ${APACHE_RUN_DIR}
PidFile ${APACHE_PID_FILE}
Timeout 300
KeepAlive On
MaxKeepAliveRequests 100
KeepAliveTimeout 5
User ${APACHE_RUN_USER}
Group ${APACHE_RUN_GROUP}
ErrorLog ${APACHE_LOG_DIR}/error.log
LogLevel warn
IncludeOptional mods-enabled/*.load
IncludeOptional mods-enabled/*.conf
Include ports.conf
IncludeOptional conf-enabled/*.conf
IncludeOptional sites-enabled/*.conf
";

const APACHE_SITE: &str = "<VirtualHost *:80>
\tServerAdmin webmaster@localhost
\tDocumentRoot /var/www/html

\tErrorLog ${APACHE_LOG_DIR}/error.log
\tCustomLog ${APACHE_LOG_DIR}/access.log combined
</VirtualHost>
";

const VSFTPD: &str = "listen=NO
listen_ipv6=YES
anonymous_enable=NO
local_enable=YES
write_enable=YES
dirmessage_enable=YES
use_localtime=YES
xferlog_enable=YES
connect_from_port_20=YES
secure_chroot_dir=/var/run/vsftpd/empty
pam_service_name=vsftpd
ssl_enable=NO
";

const REDIS: &str = "bind 0.0.0.0
port 6379
tcp-backlog 511
timeout 0
tcp-keepalive 300
daemonize yes
supervised auto
pidfile /run/redis/redis-server.pid
loglevel notice
logfile /var/log/redis/redis-server.log
databases 16
dir /var/lib/redis
";

/// What the agent is told, as [`crate::snmp`] answers.
fn snmpd(machine: &Machine, _: Timestamp) -> String {
    let persona = &machine.persona;
    let mut text = format!(
        "sysLocation    {}\nsysContact     {}\nsysServices    72\nagentaddress udp:161\n\n\
         view   monitoring  included   .1.3.6.1.2.1.1\n\
         view   monitoring  included   .1.3.6.1.2.1.2\n\
         view   monitoring  included   .1.3.6.1.2.1.4\n\
         view   monitoring  excluded   .1.3.6.1.2.1.4.22\n\
         view   monitoring  excluded   .1.3.6.1.2.1.4.24\n\
         view   monitoring  included   .1.3.6.1.2.1.25.1\n\n",
        snmp::place(persona),
        snmp::contact(persona),
    );
    for community in snmp::communities(persona) {
        text.push_str(&format!("rocommunity  {community} default -V monitoring\n"));
    }
    text
}

/// The entries of the servers that run on `machine`, by path.
pub(super) fn entries(machine: &Machine) -> Vec<(String, Node)> {
    let units: Vec<&str> = machine.servers().iter().map(|server| server.unit).collect();
    let mut list = Vec::new();
    let mut add = |path: &str, kind, mode| {
        let node = Node { kind, mode, uid: 0, gid: 0, stamp: Stamp::Installed(900) };
        list.push((path.to_owned(), node));
    };
    let text = |text: &'static str| Kind::File(Content::Fixed(text));
    let program = |size: u32| Kind::File(Content::Program(size));
    let link = |to: &'static str| Kind::Link(Cow::Borrowed(to));
    for unit in units {
        let (dirs, files): (&[&str], Vec<(&str, Kind, u32)>) = match unit {
            "nginx" => (
                &[
                    "/etc/nginx",
                    "/etc/nginx/conf.d",
                    "/etc/nginx/modules-enabled",
                    "/etc/nginx/sites-available",
                    "/etc/nginx/sites-enabled",
                    "/var/log/nginx",
                ],
                vec![
                    ("/etc/nginx/nginx.conf", text(NGINX), 0o644),
                    ("/etc/nginx/sites-available/default", text(NGINX_SITE), 0o644),
                    (
                        "/etc/nginx/sites-enabled/default",
                        link("/etc/nginx/sites-available/default"),
                        0o777,
                    ),
                    ("/usr/sbin/nginx", program(1_345_816), 0o755),
                ],
            ),
            "apache2" => (
                &[
                    "/etc/apache2",
                    "/etc/apache2/conf-enabled",
                    "/etc/apache2/mods-enabled",
                    "/etc/apache2/sites-available",
                    "/etc/apache2/sites-enabled",
                    "/var/log/apache2",
                ],
                vec![
                    ("/etc/apache2/apache2.conf", text(APACHE), 0o644),
                    ("/etc/apache2/ports.conf", text("Listen 80\n"), 0o644),
                    ("/etc/apache2/sites-available/000-default.conf", text(APACHE_SITE), 0o644),
                    (
                        "/etc/apache2/sites-enabled/000-default.conf",
                        link("../sites-available/000-default.conf"),
                        0o777,
                    ),
                    ("/usr/sbin/apache2", program(757_856), 0o755),
                ],
            ),
            "vsftpd" => (
                &["/srv/ftp"],
                vec![
                    ("/etc/vsftpd.conf", text(VSFTPD), 0o644),
                    ("/usr/sbin/vsftpd", program(161_152), 0o755),
                ],
            ),
            "redis-server" => (
                &["/etc/redis", "/var/lib/redis", "/var/log/redis"],
                vec![
                    ("/etc/redis/redis.conf", text(REDIS), 0o640),
                    ("/usr/bin/redis-server", program(1_762_808), 0o755),
                ],
            ),
            "snmpd" => (
                &["/etc/snmp", "/etc/snmp/snmpd.conf.d", "/var/lib/snmp"],
                vec![
                    ("/etc/snmp/snmpd.conf", Kind::File(Content::Made(snmpd)), 0o600),
                    ("/usr/sbin/snmpd", program(35_320), 0o755),
                ],
            ),
            _ => continue,
        };
        dirs.iter().for_each(|dir| add(dir, Kind::Dir, 0o755));
        files.into_iter().for_each(|(path, kind, mode)| add(path, kind, mode));
    }
    list
}
