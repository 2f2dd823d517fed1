use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::actor::Message;

fn message(tag: i64, data: &[u8]) -> Envelope {
    Envelope::Message(Message { tag, data: data.to_vec(), resources: Vec::new() })
}

fn data(envelope: Option<Envelope>) -> Option<Vec<u8>> {
    match envelope? {
        Envelope::Message(message) => Some(message.data),
        _ => None,
    }
}

/// Room for exactly so many messages of one byte.
fn room(messages: usize) -> usize {
    message(0, b"x").cost() * messages
}

#[test]
fn at_the_limit_a_message_is_taken_and_one_byte_beyond_it_is_not() {
    let mut mailbox = Mailbox::default();
    assert!(matches!(mailbox.deliver(message(0, b"1"), room(2)), Delivery::Queued));
    assert!(matches!(mailbox.deliver(message(0, b"2"), room(2) - mailbox.bytes()), Delivery::Queued));
    assert_eq!(mailbox.bytes(), room(2));
    assert!(matches!(mailbox.deliver(message(0, b""), room(2) - mailbox.bytes()), Delivery::Full(_)));
    mailbox.take(&Filter::Any);
    assert!(matches!(mailbox.deliver(message(0, b"22"), room(2) - mailbox.bytes()), Delivery::Full(_)), "one byte beyond");
}

#[test]
fn an_empty_mailbox_takes_a_message_even_without_room() {
    let mut mailbox = Mailbox::default();
    assert!(matches!(mailbox.deliver(message(0, b"x"), 0), Delivery::Queued));
    assert!(matches!(mailbox.deliver(message(0, b"x"), 0), Delivery::Full(_)));
}

#[test]
fn an_awaited_reply_passes_a_full_mailbox() {
    let mut mailbox = Mailbox::default();
    mailbox.deliver(message(0, b"first"), 0);
    mailbox.wait_for(Filter::Tags(vec![7]));
    assert!(matches!(mailbox.deliver(message(8, b"other"), 0), Delivery::Full(_)));
    assert!(matches!(mailbox.deliver(message(7, b"reply"), 0), Delivery::Awaited));
    assert_eq!(data(mailbox.take_delivered()).unwrap(), b"reply");
    assert_eq!(mailbox.bytes(), message(0, b"first").cost(), "a reply that was handed over takes no room");
}

#[test]
fn what_came_during_a_wait_that_was_given_up_comes_first() {
    let mut mailbox = Mailbox::default();
    mailbox.wait_for(Filter::Any);
    mailbox.deliver(message(0, b"A"), usize::MAX);
    mailbox.deliver(message(0, b"B"), usize::MAX);
    mailbox.stop_waiting();
    assert_eq!(data(mailbox.take(&Filter::Any)).unwrap(), b"A");
    assert_eq!(data(mailbox.take(&Filter::Any)).unwrap(), b"B");
    assert_eq!(mailbox.bytes(), 0);
}

#[test]
fn untagged_messages_match_no_list_of_tags() {
    let mut mailbox = Mailbox::default();
    mailbox.deliver(message(0, b"x"), usize::MAX);
    assert!(mailbox.take(&Filter::Tags(vec![0])).is_none());
    assert!(mailbox.take(&Filter::Any).is_some());
}

#[derive(Debug, Clone)]
enum Step {
    Send {
        sender: u8,
        tag: i64,
    },
    Take(Option<i64>),
    /// A wait that a message may meet before it is given up.
    Wait(Option<i64>),
    GiveUp,
}

fn step() -> impl Strategy<Value = Step> {
    let tag = proptest::option::of(1i64..4);
    prop_oneof![
        4 => (0u8..3, 0i64..4).prop_map(|(sender, tag)| Step::Send { sender, tag }),
        2 => tag.clone().prop_map(Step::Take),
        1 => tag.prop_map(Step::Wait),
        1 => Just(Step::GiveUp),
    ]
}

fn filter(tag: Option<i64>) -> Filter {
    tag.map_or(Filter::Any, |tag| Filter::Tags(vec![tag]))
}

proptest! {
    /// Messages of one sender with one tag are received in the order of sending, whatever is selected, awaited or given
    /// up in between; none is lost or doubled, and the account of bytes is that of the queue.
    #[test]
    fn order_holds_for_each_sender(steps in proptest::collection::vec(step(), 0..80)) {
        let mut mailbox = Mailbox::default();
        let mut sent: HashMap<(u8, i64), u8> = HashMap::new();
        let mut received: HashMap<(u8, i64), u8> = HashMap::new();
        let mut outstanding = 0usize;
        let mut waiting = false;
        let take = |envelope: Option<Envelope>, received: &mut HashMap<(u8, i64), u8>| {
            let Some(Envelope::Message(message)) = envelope else { return 0 };
            let expected = received.entry((message.data[0], message.tag)).or_default();
            assert_eq!(message.data[1], *expected);
            *expected += 1;
            1
        };
        for step in steps {
            match step {
                Step::Send { sender, tag } => {
                    let number = sent.entry((sender, tag)).or_default();
                    mailbox.deliver(message(tag, &[sender, *number]), usize::MAX);
                    *number += 1;
                    outstanding += 1;
                }
                // As a receive does: only when nothing is awaited, and a wait only begins when nothing matches.
                Step::Take(tag) if !waiting => outstanding -= take(mailbox.take(&filter(tag)), &mut received),
                Step::Wait(tag) if !waiting => match mailbox.take(&filter(tag)) {
                    Some(envelope) => outstanding -= take(Some(envelope), &mut received),
                    None => { mailbox.wait_for(filter(tag)); waiting = true; }
                },
                Step::GiveUp => { mailbox.stop_waiting(); waiting = false; }
                Step::Take(_) | Step::Wait(_) => {}
            }
        }
        mailbox.stop_waiting();
        prop_assert_eq!(mailbox.bytes(), outstanding * message(0, &[0, 0]).cost());
        while let Some(envelope) = mailbox.take(&Filter::Any) {
            outstanding -= take(Some(envelope), &mut received);
        }
        prop_assert_eq!((outstanding, mailbox.bytes()), (0, 0));
        prop_assert_eq!(sent, received);
    }
}
