//! Which responder served an exchange, for access logs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use h8s_wire::{Interest, ResponderId};
use http::Extensions;

use crate::context::ExchangeContext;

/// Records which responder served an exchange. Put a clone into the request's
/// [`ExchangeContext`](crate::ExchangeContext) and read it when the exchange is over: clones share the record.
///
/// After several attempts it names the last responder.
#[derive(Clone, Debug, Default)]
pub struct ServedBy(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    interest: Option<Interest>,
    responder: Option<ResponderId>,
}

/// Removes the record from a request's extensions.
pub(crate) fn of(request: &mut Extensions) -> Option<ServedBy> {
    request.get_mut::<ExchangeContext>().and_then(|context| context.served_by.take())
}

impl ServedBy {
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The interest that the responder announced. `None` in the plain dialect, or if no responder received the request.
    pub fn interest(&self) -> Option<Interest> {
        self.lock().interest.clone()
    }

    /// The responder. `None` in the plain dialect, where responders have no id, or if no responder has accepted.
    pub fn responder(&self) -> Option<ResponderId> {
        self.lock().responder
    }

    /// Records that the responders of this interest receive the request; `None` stands for the plain dialect.
    pub(crate) fn asked(&self, interest: Option<&Interest>) {
        *self.lock() = Record { interest: interest.cloned(), responder: None };
    }

    /// Records that this responder accepted the exchange.
    pub(crate) fn taken(&self, responder: Option<ResponderId>) {
        self.lock().responder = responder;
    }
}
