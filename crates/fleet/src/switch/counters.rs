//! What the switch did, in numbers.

/// Declares the things that are counted: one list for the enum, its words and its length.
macro_rules! counted {
    ($($(#[$doc:meta])* $variant:ident = $word:literal),* $(,)?) => {
        /// Something that the switch counts.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Count { $($(#[$doc])* $variant),* }

        impl Count {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in metrics, without `_total`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    };
}

counted! {
    /// Frames from the real network.
    UplinkFrames = "uplink_frames",
    /// Frames from namespaces.
    ClassFrames = "class_frames",
    /// Frames sent on.
    Sent = "sent_frames",
    /// Frames for nobody here: other hosts' traffic.
    Ignored = "ignored_frames",
    /// Frames that are damaged or make no sense.
    Malformed = "malformed_frames",
    /// Parts of packets: not taken.
    Fragments = "fragments",
    /// Packets with IP options: not taken.
    Options = "packets_with_options",
    /// ARP requests answered.
    ArpAnswers = "arp_answers",
    /// Real hosts that use an address of a decky.
    AddressConflicts = "address_conflicts",
    /// Addresses announced on a real segment.
    Announcements = "announcements",
    /// Pings answered.
    EchoAnswers = "echo_answers",
    /// RSTs sent for the kernel.
    Resets = "resets",
    /// Segments that a personality does not answer.
    Strays = "strays",
    /// Datagrams taken to an open port.
    Datagrams = "datagrams",
    /// UDP ports said to be unreachable.
    Unreachables = "unreachables",
    /// Packets that forwarding deckies passed on.
    Forwarded = "forwarded",
    /// Packets whose time to live ended at a forwarding decky.
    Expired = "expired",
    /// Packets for which there is no way.
    Unroutable = "unroutable",
    /// Connections begun.
    Flows = "flows",
    /// Connections refused because the table is full of live ones.
    FlowsRefused = "flows_refused",
    /// Frames of namespaces that are no answer to anybody: kept in.
    EgressDenied = "egress_denied",
    /// Frames that the kernel did not take; set by whoever sends.
    SendFailed = "send_failed",
}

/// The counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters([u64; Count::ALL.len()]);

impl Counters {
    /// One count.
    pub const fn get(&self, what: Count) -> u64 {
        self.0[what as usize]
    }

    /// Adds to one.
    pub const fn add(&mut self, what: Count, by: u64) {
        self.0[what as usize] = self.0[what as usize].wrapping_add(by);
    }
}
