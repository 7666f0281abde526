//! The states of an SCTP association, as its packets show them: nf_conntrack's state machine
//! (`net/netfilter/nf_conntrack_proto_sctp.c`) in the states of TCP. A chunk is believed by its verification tag (RFC 9260 §8.5).
//! A packet that is not believed is passed on, for its receiver to judge, but changes nothing here. Only a packet's first chunk
//! counts: the chunks that change the state come first or alone. Pure.
//!
//! | [`State`] | nf_conntrack | since |
//! |---|---|---|
//! | `New` | COOKIE_WAIT | the client's INIT |
//! | `Replied` | COOKIE_WAIT | the backend's INIT ACK |
//! | `Established` | COOKIE_ECHOED, ESTABLISHED | the client's COOKIE ECHO with the tag of the INIT ACK |
//! | `ClientClosed` | SHUTDOWN_SENT | the client's SHUTDOWN |
//! | `BackendClosed` | SHUTDOWN_RECD | the backend's SHUTDOWN |
//! | `Closed` | SHUTDOWN_ACK_SENT | the other side's SHUTDOWN ACK |
//! | `Reset` | CLOSED | ABORT, or SHUTDOWN COMPLETE |
//!
//! Both entries of a flow have both tags, in the fields of TCP's sequence numbers: the tag that the client has chosen in
//! `handshake`, and the tag that the backend has chosen, once it has replied, in `service_generation`.

use super::{EntryMeta, State};

/// Types of chunks that change the state of an association (RFC 9260 §3.2).
pub mod chunk {
    /// Carries data. Like every type that is not listed here, it does not change the state.
    pub const DATA: u8 = 0;
    /// Opens an association. Carries the tag that packets to its sender must have.
    pub const INIT: u8 = 1;
    /// Accepts an association. Carries the tag that packets to its sender must have.
    pub const INIT_ACK: u8 = 2;
    /// Ends an association at once.
    pub const ABORT: u8 = 6;
    /// Says that its sender has no more data.
    pub const SHUTDOWN: u8 = 7;
    /// Acknowledges SHUTDOWN, and says that its sender has no more data either.
    pub const SHUTDOWN_ACK: u8 = 8;
    /// Says that the client has got the INIT ACK.
    pub const COOKIE_ECHO: u8 = 10;
    /// Says that the backend has got the COOKIE ECHO.
    pub const COOKIE_ACK: u8 = 11;
    /// Ends an association after SHUTDOWN ACK.
    pub const SHUTDOWN_COMPLETE: u8 = 14;
    /// Flag of ABORT and SHUTDOWN COMPLETE (T bit): the packet carries the tag of packets in the other direction.
    pub const REFLECTED: u8 = 1;
}

/// The fields of an SCTP packet that concern its association. Tags are in host byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Type of the first chunk.
    pub kind: u8,
    /// Flags of the first chunk.
    pub flags: u8,
    /// The verification tag of the packet.
    pub tag: u32,
    /// The initiate tag of INIT and INIT ACK, which packets to the sender must have; 0 for other chunks.
    pub initiate: u32,
}

impl EntryMeta {
    /// The tag that the client has chosen for the backend's packets. 0 if it is not known.
    #[inline(always)]
    const fn client_tag(&self) -> u32 {
        self.handshake
    }

    /// The tag that the backend has chosen for the client's packets. 0 if it is not known.
    #[inline(always)]
    const fn backend_tag(&self) -> u32 {
        if matches!(self.state(), State::New) { 0 } else { self.service_generation }
    }

    /// Changes the association's state by one of its packets. Returns false if the packet is not believed: then it must not
    /// refresh the association either.
    #[inline(always)]
    #[must_use]
    pub const fn associate(&mut self, packet: &Chunk) -> bool {
        let is_reply = self.flags & Self::REPLY != 0;
        let tags = [self.backend_tag(), self.client_tag()];
        let (own, other) = if is_reply { (tags[1], tags[0]) } else { (tags[0], tags[1]) };
        let is_right = own != 0 && packet.tag == own;
        let next = match packet.kind {
            chunk::INIT | chunk::INIT_ACK | chunk::COOKIE_ECHO | chunk::COOKIE_ACK => {
                self.begin_association(packet, is_reply, is_right)
            }
            chunk::ABORT | chunk::SHUTDOWN_COMPLETE => {
                let is_reflected = packet.flags & chunk::REFLECTED != 0;
                let is_true = if is_reflected { other != 0 && packet.tag == other } else { is_right };
                if is_true { Some(self.state().ended_by(packet.kind)) } else { None }
            }
            chunk::SHUTDOWN | chunk::SHUTDOWN_ACK if is_right => Some(self.state().shut_by(packet.kind, is_reply)),
            chunk::SHUTDOWN | chunk::SHUTDOWN_ACK => None,
            _ => Some(self.state()),
        };
        match next {
            Some(next) => {
                self.state = next as u8;
                true
            }
            None => false,
        }
    }

    /// The state after a packet of the handshake. Remembers the packet's tags. Returns `None` if the packet is not believed. An
    /// INIT during a live association leaves the old tags, since it is not known yet whether the INIT is genuine.
    #[inline(always)]
    const fn begin_association(&mut self, packet: &Chunk, is_reply: bool, is_right: bool) -> Option<State> {
        let state = self.state();
        let has_replied = matches!(state, State::Replied);
        if !has_replied && !matches!(state, State::New) {
            return Some(state);
        }
        match (packet.kind, is_reply) {
            (chunk::INIT, false) => self.handshake = packet.initiate,
            (chunk::INIT_ACK | chunk::COOKIE_ACK, true) if !is_right => return None,
            (chunk::INIT_ACK, true) => {
                self.service_generation = packet.initiate;
                return Some(State::Replied);
            }
            (chunk::COOKIE_ACK, true) if has_replied => return Some(State::Established),
            (chunk::COOKIE_ECHO, false) if has_replied && is_right => return Some(State::Established),
            // It may echo the cookie of an earlier INIT ACK. The COOKIE ACK will show.
            (chunk::COOKIE_ECHO, false) if has_replied => self.service_generation = packet.tag,
            _ => (),
        }
        Some(state)
    }
}

impl State {
    /// The state after an ABORT or a SHUTDOWN COMPLETE that is believed.
    #[inline(always)]
    const fn ended_by(self, kind: u8) -> Self {
        if kind == chunk::ABORT || matches!(self, Self::Closed) { Self::Reset } else { self }
    }

    /// The state after a SHUTDOWN or a SHUTDOWN ACK that is believed.
    #[inline(always)]
    const fn shut_by(self, kind: u8, is_reply: bool) -> Self {
        match (self, kind) {
            (Self::Established, chunk::SHUTDOWN) if is_reply => Self::BackendClosed,
            (Self::Established, chunk::SHUTDOWN) => Self::ClientClosed,
            (Self::ClientClosed | Self::BackendClosed, chunk::SHUTDOWN_ACK) => Self::Closed,
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{chunk::*, *};

    const CLIENT: u32 = 0x1111_1111;
    const BACKEND: u32 = 0x2222_2222;

    /// An association whose directions share their metadata, as the programs write it.
    struct Association(EntryMeta);

    impl Association {
        fn opened() -> Self {
            Self(EntryMeta {
                state: State::New as u8,
                handshake: CLIENT,
                service_generation: 7,
                ..EntryMeta::default()
            })
        }

        fn established() -> Self {
            let mut association = Self::opened();
            association.reply(INIT_ACK, 0, CLIENT, BACKEND);
            association.original(COOKIE_ECHO, 0, BACKEND, 0);
            assert_eq!(association.0.state(), State::Established);
            association
        }

        fn original(&mut self, kind: u8, flags: u8, tag: u32, initiate: u32) -> bool {
            self.0.flags &= !EntryMeta::REPLY;
            self.0.associate(&Chunk { kind, flags, tag, initiate })
        }

        fn reply(&mut self, kind: u8, flags: u8, tag: u32, initiate: u32) -> bool {
            self.0.flags |= EntryMeta::REPLY;
            self.0.associate(&Chunk { kind, flags, tag, initiate })
        }

        #[track_caller]
        fn is(&self, state: State) {
            assert_eq!(self.0.state(), state);
        }
    }

    #[test]
    fn s13_an_association_opens_and_closes_as_nf_conntrack_has_it() {
        let mut it = Association::opened();
        assert!(it.original(INIT, 0, 0, CLIENT));
        it.is(State::New);
        assert!(it.reply(INIT_ACK, 0, CLIENT, BACKEND));
        it.is(State::Replied);
        assert!(it.original(COOKIE_ECHO, 0, BACKEND, 0));
        it.is(State::Established);
        assert!(it.reply(COOKIE_ACK, 0, CLIENT, 0) && it.original(DATA, 3, BACKEND, 0));
        it.is(State::Established);
        assert!(it.original(SHUTDOWN, 0, BACKEND, 0));
        it.is(State::ClientClosed);
        assert!(it.reply(SHUTDOWN_ACK, 0, CLIENT, 0));
        it.is(State::Closed);
        assert!(it.original(SHUTDOWN_COMPLETE, 0, BACKEND, 0));
        it.is(State::Reset);
        let mut it = Association::established();
        assert!(it.reply(SHUTDOWN, 0, CLIENT, 0));
        it.is(State::BackendClosed);
        assert!(it.original(SHUTDOWN_ACK, 0, BACKEND, 0));
        it.is(State::Closed);
        assert!(it.original(SHUTDOWN_COMPLETE, REFLECTED, CLIENT, 0), "its sender has forgotten the association");
        it.is(State::Reset);
    }

    #[test]
    fn s13_what_ends_an_association_needs_its_tag() {
        for kind in [ABORT, SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE] {
            for tag in [0, 1, CLIENT] {
                let mut it = Association::established();
                assert!(!it.original(kind, 0, tag, 0), "{kind} {tag:#x}");
                it.is(State::Established);
            }
            for tag in [0, 1, BACKEND] {
                let mut it = Association::established();
                assert!(!it.reply(kind, 0, tag, 0), "{kind} {tag:#x}");
                it.is(State::Established);
            }
        }
        for (tag, counts) in [(CLIENT, true), (BACKEND, false), (0, false)] {
            let mut it = Association::established();
            assert_eq!(it.original(ABORT, REFLECTED, tag, 0), counts, "{tag:#x}");
        }
        for (tag, counts) in [(CLIENT, false), (BACKEND, true), (0, false)] {
            let mut it = Association::established();
            assert_eq!(it.reply(ABORT, REFLECTED, tag, 0), counts, "{tag:#x}");
        }
    }

    #[test]
    fn s13_a_backend_refuses_by_an_abort_with_the_clients_tag() {
        let mut it = Association::opened();
        assert!(!it.reply(ABORT, 0, 7, 0), "the service's generation is no tag");
        assert!(!it.original(ABORT, 0, 7, 0) && !it.reply(ABORT, REFLECTED, 7, 0));
        it.is(State::New);
        assert!(it.reply(ABORT, 0, CLIENT, 0));
        it.is(State::Reset);
    }

    #[test]
    fn s13_a_blind_sender_does_not_confirm_an_association() {
        let mut it = Association::opened();
        assert!(!it.reply(INIT_ACK, 0, CLIENT + 1, 5));
        it.is(State::New);
        assert!(it.original(COOKIE_ECHO, 0, 5, 0) && it.original(DATA, 0, 5, 0));
        it.is(State::New);
        assert!(it.reply(INIT_ACK, 0, CLIENT, BACKEND) && it.original(COOKIE_ECHO, 0, 5, 0));
        it.is(State::Replied);
        // The genuine COOKIE ECHO comes all the same, and the backend confirms it.
        assert!(it.original(COOKIE_ECHO, 0, BACKEND, 0) && !it.reply(COOKIE_ACK, 0, 5, 0));
        it.is(State::Replied);
        assert!(it.reply(COOKIE_ACK, 0, CLIENT, 0));
        it.is(State::Established);
        assert!(it.original(ABORT, 0, BACKEND, 0));
    }

    #[test]
    fn s13_an_init_over_an_association_changes_nothing() {
        let mut it = Association::established();
        assert!(it.original(INIT, 0, 0, 99) && it.reply(INIT_ACK, 0, 99, 98) && it.original(COOKIE_ECHO, 0, 98, 0));
        it.is(State::Established);
        assert!(!it.reply(ABORT, 0, 99, 0));
        assert!(it.reply(ABORT, 0, CLIENT, 0));
    }
}
