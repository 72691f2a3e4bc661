//! Who answers an exchange: for whoever logs it.

use std::sync::{Arc, Mutex, PoisonError};

use h8s_wire::{Interest, ResponderId};
use http::Extensions;

use crate::interest::NativeRoute;
use crate::native_call::Opened;
use crate::service::ExchangeContext;

/// Learns who answers an exchange, when it is put into an [`ExchangeContext`](crate::ExchangeContext). Clones learn the
/// same.
#[derive(Clone, Debug, Default)]
pub struct Answerer(Arc<Mutex<AnsweredBy>>);

/// The responder that an exchange was with, or the last of several that were asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnsweredBy {
    /// What it had announced. `None`: it answers in the plain dialect, or nobody was asked.
    pub interest: Option<Interest>,
    /// Who it is. `None`: nobody has said anything yet, or in the plain dialect, where nobody has a name.
    pub responder: Option<ResponderId>,
}

/// Who wants to know about a request, if anybody does.
pub(crate) fn of(request: &mut Extensions) -> Option<Answerer> {
    request.get_mut::<ExchangeContext>().and_then(|context| context.answerer.take())
}

impl Answerer {
    /// What is known so far.
    pub fn known(&self) -> AnsweredBy {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The responders of this interest are asked; in the plain dialect, nobody in particular.
    pub(crate) fn asks(&self, route: Option<&NativeRoute>) {
        let interest = route.map(|route| route.interest.clone());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = AnsweredBy { interest, responder: None };
    }

    /// This one has taken it.
    pub(crate) fn taken(&self, opened: &Opened) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).responder = opened.responder();
    }
}
