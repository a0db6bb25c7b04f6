//! What a server keeps in memory, and what a subscriber that never reads does to it.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Duration;

use crate::server::Server;
use crate::traffic::Run;
use crate::wire::{Conn, publish};

/// Connections that do nothing.
const IDLE: usize = 1_000;
/// Bytes published beside a subscriber that never reads.
const FLOOD: usize = 1_000_000_000;
/// Reads that must pass until the end of a wedged connection shows.
const PATIENCE: Duration = Duration::from_secs(15);

/// MiB right after the start, and KiB for each idle connection.
pub(crate) fn idle(server: &Server) -> io::Result<Vec<f64>> {
    let before = server.resident()?;
    let conns = (0..IDLE).map(|_| server.connect()).collect::<io::Result<Vec<Conn>>>()?;
    let after = server.resident()?;
    drop(conns);
    Ok(vec![before / 1024.0, (after - before) / IDLE as f64])
}

/// Peak MiB while 1 GB passes a subscriber that never reads and one that does, and whether the
/// first was closed (1) or kept (0). That the other got everything is checked.
pub(crate) fn wedged(server: &Server) -> io::Result<Vec<f64>> {
    let mut wedged = server.connect()?;
    wedged.subscribe("bench.subject", 1)?;
    wedged.flush()?;
    let wedged = wedged.into_stream();
    let mut frame = Vec::new();
    publish(&mut frame, b"bench.subject", b"", &[b'x'; 1024]);
    let mut run = Run::new(1, frame.len());
    run.subscriber(server, &["bench.subject".to_owned()])?;
    run.publisher(server, frame.repeat(64))?;
    run.stretch(Duration::from_secs(120), FLOOD)?;
    let peak = server.peak()? / 1024.0;
    Ok(vec![peak, f64::from(u8::from(closed(wedged)?))])
}

/// Reads what still lies there; closed, if an end comes.
fn closed(mut stream: TcpStream) -> io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut sink = vec![0; 1 << 20];
    let mut read = 0;
    while read < FLOOD {
        match stream.read(&mut sink) {
            Ok(0) => return Ok(true),
            Ok(count) => read += count,
            Err(error) => return Ok(error.kind() == io::ErrorKind::ConnectionReset),
        }
    }
    Ok(false)
}
