//! The codes of `ABORT` and `REFUSED`.

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal: $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A code that this version does not define.
            Other(u64),
        }

        impl $name {
            /// The number on the wire.
            pub const fn number(self) -> u64 {
                match self {
                    $(Self::$variant => $number,)*
                    Self::Other(number) => number,
                }
            }

            /// The code with this number.
            pub const fn of(number: u64) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    other => Self::Other(other),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)*
                    Self::Other(number) => write!(f, "code {number}"),
                }
            }
        }
    };
}

codes! {
    /// Why a direction of an exchange will not complete.
    AbortCode {
        /// The sender's own side failed.
        Failed = 1: "failed",
        /// Frames were lost, repeated or reordered in transit.
        Lost = 2: "frames lost",
        /// The sender does not know this exchange.
        Unknown = 3: "unknown exchange",
        /// The sender received a frame that it cannot decode.
        Malformed = 4: "malformed frame",
        /// The sender received a frame kind or version that it does not support.
        Unsupported = 5: "unsupported",
        /// The sender received more than its credit allowed.
        OverLimit = 6: "credit exceeded",
        /// The responder is draining: reopen the WebSocket at another responder.
        Moving = 7: "moving",
        /// The sender is shutting down and its grace period has expired.
        Stopping = 8: "stopping",
    }
}

codes! {
    /// Why an exchange was refused before any work was done.
    RefusedCode {
        /// The responder is at its limit.
        Busy = 1: "busy",
        /// The responder is shutting down.
        Draining = 2: "draining",
        /// The responder cannot reach the backend that it forwards requests to.
        Unreachable = 3: "unreachable",
    }
}
