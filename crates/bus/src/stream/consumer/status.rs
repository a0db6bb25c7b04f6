//! What a consumer says to a requester besides messages: the status lines of JetStream.

use super::ack::write_number;

/// A message without a body whose header block says how a request fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// 400: the request could not be read.
    BadRequest(String),
    /// 404: nothing there, and the request does not wait.
    NoMessages,
    /// 408: the request's time is over; what it did not get.
    Timeout {
        /// Messages asked for and not delivered.
        messages: u64,
        /// Bytes left of the request's limit.
        bytes: u64,
    },
    /// 409: the next message is larger than what the request still takes.
    TooLarge {
        /// Messages asked for and not delivered.
        messages: u64,
        /// Bytes left of the request's limit.
        bytes: u64,
    },
    /// 409 with this text: a limit of the consumer.
    Conflict(String),
    /// 409: the end of the consumer.
    ConsumerDeleted,
    /// 100: nothing to deliver, but the consumer lives.
    Heartbeat {
        /// Number of the last delivery.
        cseq: u64,
        /// Sequence of the last message delivered.
        seq: u64,
        /// Number of an unanswered flow control request.
        stalled: Option<u64>,
    },
    /// 100: answer (on the reply subject) once all before this has been handled.
    FlowControl,
}

impl Status {
    /// Appends the header block of the consumer `consumer` of `stream`.
    pub fn write(&self, out: &mut Vec<u8>, stream: &str, consumer: &str) {
        out.extend_from_slice(b"NATS/1.0 ");
        match self {
            Self::BadRequest(why) => line(out, "400 Bad Request - ", why),
            Self::NoMessages => line(out, "404 No Messages", ""),
            Self::Timeout { messages, bytes } => {
                line(out, "408 Request Timeout", "");
                left(out, *messages, *bytes);
            }
            Self::TooLarge { messages, bytes } => {
                line(out, "409 Message Size Exceeds MaxBytes", "");
                left(out, *messages, *bytes);
            }
            Self::Conflict(why) => line(out, "409 ", why),
            Self::ConsumerDeleted => line(out, "409 Consumer Deleted", ""),
            Self::Heartbeat { cseq, seq, stalled } => {
                line(out, "100 Idle Heartbeat", "");
                field(out, "Nats-Last-Consumer: ", *cseq);
                field(out, "Nats-Last-Stream: ", *seq);
                if let Some(number) = stalled {
                    out.extend_from_slice(b"Nats-Consumer-Stalled: ");
                    flow_subject(out, stream, consumer, *number);
                    out.extend_from_slice(b"\r\n");
                }
            }
            Self::FlowControl => line(out, "100 FlowControl Request", ""),
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the subject on which flow control request `number` is answered.
pub fn flow_subject(out: &mut Vec<u8>, stream: &str, consumer: &str, number: u64) {
    for part in ["$JS.FC.", stream, ".", consumer, "."] {
        out.extend_from_slice(part.as_bytes());
    }
    write_number(out, number);
}

fn line(out: &mut Vec<u8>, fixed: &str, rest: &str) {
    out.extend_from_slice(fixed.as_bytes());
    out.extend_from_slice(rest.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn left(out: &mut Vec<u8>, messages: u64, bytes: u64) {
    field(out, "Nats-Pending-Messages: ", messages);
    field(out, "Nats-Pending-Bytes: ", bytes);
}

fn field(out: &mut Vec<u8>, name: &str, value: u64) {
    out.extend_from_slice(name.as_bytes());
    write_number(out, value);
    out.extend_from_slice(b"\r\n");
}
