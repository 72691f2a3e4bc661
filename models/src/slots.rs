//! Calls that wait for a slot of the engine's pool, and instances that become idle and keep theirs.

#[allow(dead_code, unreachable_pub, reason = "a model needs less than production")]
#[path = "../../host-provider/src/engine/slots.rs"]
mod production;

use std::sync::Arc;

use loom::future::block_on;
use loom::thread;

use self::production::{Evict, Evicted, Slot, Slots};
use crate::check;
use crate::sync::Mutex;

/// One component's idle instances: of each only its slot.
#[derive(Default)]
struct Idle(Mutex<Vec<Slot>>);

impl Idle {
    fn take_oldest(&self) -> Option<Slot> {
        let mut idle = self.0.lock().expect("no thread panics");
        if idle.is_empty() { None } else { Some(idle.remove(0)) }
    }

    /// As the host's `IdleInstances::put`: first where it can be evicted, then a look at who waits.
    fn put(&self, slot: Slot, slots: &Slots) {
        self.0.lock().expect("no thread panics").push(slot);
        if slots.is_wanted() {
            drop(self.take_oldest());
        }
    }
}

/// The pool's view of it.
struct Owner(Arc<Idle>);

impl Evict for Owner {
    fn is_gone(&self) -> bool {
        false
    }

    fn evict(&self) -> Option<Evicted> {
        Some(Box::new(self.0.take_oldest()?))
    }
}

/// An engine with one slot, which a call has, and a component that keeps its instances.
fn engine() -> (Arc<Slots>, Arc<Idle>, Slot) {
    let (slots, idle) = (Slots::new(1), Arc::<Idle>::default());
    slots.register(Box::new(Owner(Arc::clone(&idle))));
    let slot = slots.try_take().expect("it is free");
    (slots, idle, slot)
}

/// An instance becomes idle before, while or after a call begins to wait: the call gets its slot.
pub fn a_call_gets_the_slot_of_an_instance_that_becomes_idle() {
    check(|| {
        let (slots, idle, slot) = engine();
        let call = thread::spawn({
            let slots = Arc::clone(&slots);
            move || drop(block_on(slots.take()).expect("the pool is open"))
        });

        idle.put(slot, &slots);

        call.join().expect("it does not panic");
    });
}

/// Two calls wait; each that ends leaves its instance idle.
pub fn calls_that_wait_get_their_slots_in_turn() {
    check(|| {
        let (slots, idle, slot) = engine();
        let calls: Vec<_> = (0..2)
            .map(|_| {
                let (slots, idle) = (Arc::clone(&slots), Arc::clone(&idle));
                thread::spawn(move || {
                    let slot = block_on(slots.take()).expect("the pool is open");
                    idle.put(slot, &slots);
                })
            })
            .collect();

        idle.put(slot, &slots);

        for call in calls {
            call.join().expect("it does not panic");
        }
    });
}
