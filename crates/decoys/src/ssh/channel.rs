//! One session channel: windows of both directions, and the order in which it ends.
//!
//! Knows messages and bytes; what the bytes mean belongs to `session`.

use super::{fatal::Fatal, message, transport::Transport, wire::Writer};

/// `CHAN_SES_PACKET_DEFAULT`: the largest data we take in one message.
pub(super) const LOCAL_PACKET: u32 = 32 * 1024;
/// `CHAN_SES_WINDOW_DEFAULT`.
const LOCAL_WINDOW: u32 = 64 * LOCAL_PACKET;
/// Output that waits for the visitor's window. While more than this waits, nothing more is run.
pub(super) const MAX_PENDING_BYTES: usize = 256 * 1024;

/// A stream to the visitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stream {
    Output,
    Error,
}

/// A channel.
pub(super) struct Channel {
    remote: u32,
    remote_window: u64,
    remote_packet: usize,
    local_window: u32,
    consumed: u32,
    pending: Vec<(Stream, Vec<u8>)>,
    /// Set once the program has ended.
    exit: Option<u8>,
    openssh: bool,
    pub(super) eof_received: bool,
    closed: bool,
}

impl Channel {
    pub(super) fn new(remote: u32, window: u32, packet: u32, openssh: bool) -> Self {
        Self {
            remote,
            remote_window: u64::from(window),
            remote_packet: (packet as usize).clamp(1, LOCAL_PACKET as usize),
            local_window: 0,
            consumed: 0,
            pending: Vec::new(),
            exit: None,
            openssh,
            eof_received: false,
            closed: false,
        }
    }

    /// A program starts: the visitor may send.
    pub(super) fn start(&mut self, transport: &mut Transport) -> Result<(), Fatal> {
        self.local_window = LOCAL_WINDOW;
        self.adjust(LOCAL_WINDOW, transport)
    }

    /// The visitor sent data; whether it is within its window. What is not is dropped.
    pub(super) fn admit(&mut self, bytes: usize) -> bool {
        match u32::try_from(bytes) {
            Ok(bytes) if bytes <= LOCAL_PACKET && bytes <= self.local_window => {
                self.local_window -= bytes;
                true
            }
            _ => false,
        }
    }

    /// Data was used up; opens the window again as OpenSSH does.
    pub(super) fn consume(&mut self, bytes: usize, transport: &mut Transport) -> Result<(), Fatal> {
        self.consumed += u32::try_from(bytes).unwrap_or(0);
        let used = LOCAL_WINDOW - self.local_window;
        let due = used > 3 * LOCAL_PACKET || self.local_window < LOCAL_WINDOW / 2;
        if self.closed || self.eof_received || self.consumed == 0 || !due {
            return Ok(());
        }
        let opened = std::mem::take(&mut self.consumed);
        self.local_window += opened;
        self.adjust(opened, transport)
    }

    fn adjust(&self, bytes: u32, transport: &mut Transport) -> Result<(), Fatal> {
        transport.send(self.message(message::CHANNEL_WINDOW_ADJUST).u32(bytes).done())
    }

    /// The visitor opened its window.
    pub(super) fn widen(&mut self, bytes: u32) -> Result<(), Fatal> {
        self.remote_window += u64::from(bytes);
        match self.remote_window > u64::from(u32::MAX) {
            true => Err(Fatal::Close),
            false => Ok(()),
        }
    }

    /// Puts bytes behind what waits.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() || self.exit.is_some() || self.closed {
            return;
        }
        match self.pending.last_mut() {
            Some((last, waiting)) if *last == stream => waiting.extend_from_slice(bytes),
            _ => self.pending.push((stream, bytes.to_vec())),
        }
    }

    /// Whether so much waits that nothing more may run.
    pub(super) fn is_full(&self) -> bool {
        self.pending.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() >= MAX_PENDING_BYTES
    }

    /// The program has ended.
    pub(super) fn exit(&mut self, status: u8) {
        self.exit.get_or_insert(status);
    }

    /// Sends what fits the visitor's window; after the last byte of an ended program, the end.
    pub(super) fn flush(&mut self, transport: &mut Transport) -> Result<(), Fatal> {
        while let Some((stream, bytes)) = self.pending.first_mut() {
            let window = usize::try_from(self.remote_window).unwrap_or(usize::MAX);
            let count = bytes.len().min(self.remote_packet).min(window);
            if count == 0 {
                return Ok(());
            }
            let stream = *stream;
            let chunk: Vec<u8> = bytes.drain(..count).collect();
            if bytes.is_empty() {
                self.pending.remove(0);
            }
            self.remote_window -= count as u64;
            let data = match stream {
                Stream::Output => self.message(message::CHANNEL_DATA),
                Stream::Error => self.message(message::CHANNEL_EXTENDED_DATA).u32(1),
            };
            transport.send(data.string(&chunk).done())?;
        }
        match self.exit {
            Some(status) if !self.closed => self.end(status, transport),
            _ => Ok(()),
        }
    }

    fn end(&mut self, status: u8, transport: &mut Transport) -> Result<(), Fatal> {
        transport.send(self.message(message::CHANNEL_EOF).done())?;
        let request = |name: &str| self.message(message::CHANNEL_REQUEST).text(name).bool(false);
        transport.send(request("exit-status").u32(u32::from(status)).done())?;
        if self.openssh && !self.eof_received {
            transport.send(request("eow@openssh.com").done())?;
        }
        self.close(transport)
    }

    /// Sends our CLOSE, once.
    pub(super) fn close(&mut self, transport: &mut Transport) -> Result<(), Fatal> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        self.pending.clear();
        transport.send(self.message(message::CHANNEL_CLOSE).done())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// A message to this channel.
    pub(super) fn message(&self, number: u8) -> Writer {
        Writer::message(number).u32(self.remote)
    }
}
