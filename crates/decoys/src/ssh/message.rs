//! Message numbers of RFC 4250, RFC 4419, RFC 5656 and RFC 8308.

pub(super) const DISCONNECT: u8 = 1;
pub(super) const IGNORE: u8 = 2;
pub(super) const UNIMPLEMENTED: u8 = 3;
pub(super) const DEBUG: u8 = 4;
pub(super) const SERVICE_REQUEST: u8 = 5;
pub(super) const SERVICE_ACCEPT: u8 = 6;
pub(super) const EXT_INFO: u8 = 7;
pub(super) const KEXINIT: u8 = 20;
pub(super) const NEWKEYS: u8 = 21;
/// Also `SSH_MSG_KEX_ECDH_INIT`.
pub(super) const KEXDH_INIT: u8 = 30;
/// Also `SSH_MSG_KEX_ECDH_REPLY`.
pub(super) const KEXDH_REPLY: u8 = 31;
pub(super) const GEX_GROUP: u8 = 31;
pub(super) const GEX_INIT: u8 = 32;
pub(super) const GEX_REPLY: u8 = 33;
pub(super) const GEX_REQUEST: u8 = 34;
/// The last number of the transport layer; those above belong to the layers on it.
pub(super) const TRANSPORT_LAST: u8 = 49;
pub(super) const USERAUTH_REQUEST: u8 = 50;
pub(super) const USERAUTH_FAILURE: u8 = 51;
pub(super) const USERAUTH_SUCCESS: u8 = 52;
pub(super) const GLOBAL_REQUEST: u8 = 80;
pub(super) const REQUEST_SUCCESS: u8 = 81;
pub(super) const REQUEST_FAILURE: u8 = 82;
pub(super) const CHANNEL_OPEN: u8 = 90;
pub(super) const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
pub(super) const CHANNEL_OPEN_FAILURE: u8 = 92;
pub(super) const CHANNEL_WINDOW_ADJUST: u8 = 93;
pub(super) const CHANNEL_DATA: u8 = 94;
pub(super) const CHANNEL_EXTENDED_DATA: u8 = 95;
pub(super) const CHANNEL_EOF: u8 = 96;
pub(super) const CHANNEL_CLOSE: u8 = 97;
pub(super) const CHANNEL_REQUEST: u8 = 98;
pub(super) const CHANNEL_SUCCESS: u8 = 99;
pub(super) const CHANNEL_FAILURE: u8 = 100;

/// Numbers from here on are local extensions, which the daemon refuses to read at all.
pub(super) const LOCAL_FIRST: u8 = 192;

/// `SSH_DISCONNECT_PROTOCOL_ERROR`, the only reason that sshd gives.
pub(super) const PROTOCOL_ERROR: u32 = 2;
