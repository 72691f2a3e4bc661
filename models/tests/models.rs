//! Each model of the crate, as a test.

macro_rules! models {
    ($($name:ident)+) => { $(
        #[test]
        fn $name() {
            h8s_models::$name();
        }
    )+ };
}

models! {
    a_call_gets_the_slot_of_an_instance_that_becomes_idle
    a_delivered_frame_wakes_the_reader
    a_failure_wakes_reader_and_writer
    a_suspended_reader_goes_on_after_a_sync
    a_wake_up_during_a_poll_is_not_lost
    a_wake_up_while_held_is_not_lost
    calls_that_wait_get_their_slots_in_turn
    every_request_gets_its_ticks
    granted_credit_wakes_the_writer
    reader_and_writer_are_woken_apart
}
