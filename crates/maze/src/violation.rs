//! What is wrong with an op or a topology, in words and in stable codes.

use std::fmt;

use serde::Serialize;

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Violation {
    /// Which rule; stable.
    pub code: ViolationCode,
    /// Where, as a path: `payload.services[1]` of an op, `deckies.web-01.edges[0].address` of a
    /// whole topology.
    pub field: String,
    /// What is wrong and what would be right, for an operator.
    pub message: String,
}

/// Declares the codes once: the variant and the word that stands in JSON.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal),* $(,)?) => {
        /// Which rule is broken. The words are part of the API: none is ever renamed.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
        pub enum ViolationCode { $($(#[$doc])* #[serde(rename = $word)] $variant),* }

        impl ViolationCode {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    };
}

codes! {
    /// The topology has more LANs than a topology may have.
    LansTooMany = "LANS_TOO_MANY",
    /// The topology has more deckies than a topology may have.
    DeckiesTooMany = "DECKIES_TOO_MANY",
    /// Another LAN has this name.
    LanNameDup = "LAN_NAME_DUP",
    /// No LAN has this name.
    LanUnknown = "LAN_UNKNOWN",
    /// The LAN is the home of deckies.
    LanInUse = "LAN_IN_USE",
    /// A live LAN keeps its subnet and its side.
    LanLive = "LAN_LIVE",
    /// Another decky has this name.
    DeckyNameDup = "DECKY_NAME_DUP",
    /// No decky has this name.
    DeckyUnknown = "DECKY_UNKNOWN",
    /// The decky has no interface.
    DeckyOrphan = "DECKY_ORPHAN",
    /// The decky has an interface on the LAN already.
    DeckyAttached = "DECKY_ATTACHED",
    /// The decky has no interface on the LAN.
    DeckyNotAttached = "DECKY_NOT_ATTACHED",
    /// The LAN is the decky's home.
    DeckyHome = "DECKY_HOME",
    /// A gateway whose home is not the DMZ.
    GatewayNotInDmz = "GATEWAY_NOT_IN_DMZ",
    /// Visitors would notice: the op must say `force`.
    ForceRequired = "FORCE_REQUIRED",
    /// A start of what runs, or a stop of what is stopped.
    StateUnchanged = "STATE_UNCHANGED",
    /// No LAN faces the outside.
    DmzMissing = "DMZ_MISSING",
    /// Nobody lives in the DMZ, so that nothing faces the outside.
    DmzOrphan = "DMZ_ORPHAN",
    /// More than one LAN faces the outside.
    DmzMultiple = "DMZ_MULTIPLE",
    /// The subnet is no CIDR text, or no network address: host bits are set.
    SubnetMalformed = "SUBNET_MALFORMED",
    /// The subnet is too large or too small.
    SubnetSize = "SUBNET_SIZE",
    /// The subnet lies in a range that means something else.
    SubnetReserved = "SUBNET_RESERVED",
    /// The subnet shares addresses with another LAN's.
    SubnetOverlap = "SUBNET_OVERLAP",
    /// No subnet is left to allocate.
    SubnetExhausted = "SUBNET_EXHAUSTED",
    /// The text is no IPv4 address.
    IpMalformed = "IP_MALFORMED",
    /// The address is on a LAN that the topology does not have.
    IpUnknownLan = "IP_UNKNOWN_LAN",
    /// The address is outside the LAN's subnet.
    IpOutOfSubnet = "IP_OUT_OF_SUBNET",
    /// The address is the LAN's network, gateway or broadcast address.
    IpReserved = "IP_RESERVED",
    /// Another interface has this address.
    IpCollision = "IP_COLLISION",
    /// No address of the LAN is left to allocate.
    AddressExhausted = "ADDRESS_EXHAUSTED",
    /// The decky has two interfaces on one LAN.
    EdgeDup = "EDGE_DUP",
    /// The decky has more interfaces than a decky may have.
    EdgesTooMany = "EDGES_TOO_MANY",
    /// A decky without services.
    ServicesEmpty = "SERVICES_EMPTY",
    /// A service is named twice.
    ServiceDuplicate = "SERVICE_DUPLICATE",
    /// There is no such service.
    UnknownService = "UNKNOWN_SERVICE",
    /// The service has no such setting.
    ServiceCfgUndeclared = "SERVICE_CFG_UNDECLARED",
    /// There is no such archetype.
    UnknownArchetype = "UNKNOWN_ARCHETYPE",
    /// The archetype does not run this service.
    ServiceNotInPool = "SERVICE_NOT_IN_POOL",
    /// A rotation to the services that the decky has already.
    ServicesUnchanged = "SERVICES_UNCHANGED",
    /// The archetype has no other services to rotate to.
    ServicesNoChoice = "SERVICES_NO_CHOICE",
    /// Two services share a port.
    PortCollision = "PORT_COLLISION",
    /// Port 0.
    PortInvalid = "PORT_INVALID",
    /// The rotation interval is too short or too long.
    RotationInterval = "ROTATION_INTERVAL",
    /// An update that names nothing to change.
    UpdateEmpty = "UPDATE_EMPTY",
    /// A batch without ops.
    BatchEmpty = "BATCH_EMPTY",
    /// A batch with too many ops.
    BatchTooLarge = "BATCH_TOO_LARGE",
    /// A batch within a batch.
    BatchNested = "BATCH_NESTED",
    /// A setting of the generator is out of range.
    GeneratorRange = "GENERATOR_RANGE",
    /// The text is no name.
    NameMalformed = "NAME_MALFORMED",
    /// The document has a format that is not known here.
    FormatUnknown = "FORMAT_UNKNOWN",
    /// A row is stored under an id that is not its own.
    RowIdMismatch = "ROW_ID_MISMATCH",
}

impl fmt::Display for ViolationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// `a, b or c`.
pub(crate) fn listed<T: fmt::Display>(things: &[T], last: &str) -> String {
    let mut words: Vec<String> = things.iter().map(T::to_string).collect();
    match (words.pop(), words.is_empty()) {
        (None, _) => "nothing".into(),
        (Some(only), true) => only,
        (Some(end), false) => format!("{} {last} {end}", words.join(", ")),
    }
}

/// Collects violations, so that an operator sees all of them at once.
#[derive(Default)]
pub(crate) struct Findings(Vec<Violation>);

impl Findings {
    pub(crate) fn add(
        &mut self,
        code: ViolationCode,
        field: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.0.push(Violation { code, field: field.into(), message: message.into() });
    }

    pub(crate) fn push(&mut self, violation: Violation) {
        self.0.push(violation);
    }

    pub(crate) fn into_vec(self) -> Vec<Violation> {
        self.0
    }

    /// As [`Findings::or_ok`], to go on with where all is well.
    pub(crate) fn or_ok_so_far(&mut self) -> Result<(), Vec<Violation>> {
        if self.0.is_empty() { Ok(()) } else { Err(std::mem::take(&mut self.0)) }
    }

    /// All is well if nothing was found.
    pub(crate) fn or_ok(self) -> Result<(), Vec<Violation>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}
