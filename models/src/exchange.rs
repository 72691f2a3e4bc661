//! nats' mailbox, and as much of the crate as it names, at the paths by which it names it.

#![allow(dead_code, unreachable_pub, reason = "a model needs less than production")]

#[path = "../../nats/src/exchange/failure.rs"]
pub(crate) mod failure;
#[path = "../../nats/src/exchange/flow_control.rs"]
pub(crate) mod flow_control;
#[path = "../../nats/src/exchange/mailbox.rs"]
pub(crate) mod mailbox;
#[path = "../../nats/src/exchange/retransmit_buffer.rs"]
pub(crate) mod retransmit_buffer;

pub(crate) mod endpoint {
    //! The side of an exchange; the rest of an endpoint is not in the model.

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Side {
        Gateway,
        Responder,
    }
}

pub(crate) mod response_timeout {
    //! Noting progress wakes nothing.

    #[derive(Debug)]
    pub(crate) struct Progress;

    impl Progress {
        pub(crate) fn moved(&self) {}
    }
}
