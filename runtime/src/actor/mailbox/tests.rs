use proptest::prelude::*;

use super::*;
use crate::actor::Message;

fn message(tag: i64, data: &[u8]) -> Envelope {
    Envelope::Message(Message { tag, data: data.into(), ..Message::default() })
}

fn data(envelope: Option<Envelope>) -> Option<Vec<u8>> {
    match envelope? {
        Envelope::Message(message) => Some(message.data.into_vec()),
        _ => None,
    }
}

/// Room for exactly so many messages of one byte.
fn room(messages: usize) -> usize {
    message(0, b"x").mailbox_cost() * messages
}

/// So many bytes are free, and messages are let in one by one.
fn all(free: usize) -> Room {
    Room { free, share: 0 }
}

/// Who has that ticket, or none yet.
fn from(ticket: Option<u64>) -> Origin {
    Origin { ticket, ..Origin::default() }
}

impl Mailbox {
    /// As its actor does, which counts later.
    fn take(&mut self, inbox: &mut Inbox, filter: &Filter) -> Option<Envelope> {
        inbox.take(filter, 0).or_else(|| {
            let searched = inbox.len();
            self.fill(inbox);
            inbox.take(filter, searched)
        })
    }

    fn get(&mut self, envelope: Envelope, room: usize) -> Delivery {
        self.deliver(envelope, Origin::default(), all(room), &Account::new(u64::MAX))
    }
}

#[test]
fn at_the_limit_a_message_is_taken_and_one_byte_beyond_it_is_not() {
    let mut mailbox = Mailbox::default();
    assert!(matches!(mailbox.get(message(0, b"1"), room(2)), Delivery::Queued));
    assert!(matches!(
        {
            let left = room(2) - mailbox.bytes();
            mailbox.get(message(0, b"2"), left)
        },
        Delivery::Queued
    ));
    assert_eq!(mailbox.bytes(), room(2));
    assert!(matches!(mailbox.get(message(0, b""), 0), Delivery::Full(_)));
    let mut inbox = Inbox::default();
    mailbox.take(&mut inbox, &Filter::Any);
    assert_eq!((mailbox.bytes(), mailbox.len()), (room(2), 2), "that is not counted");
    mailbox.count(inbox.received());
    assert_eq!((mailbox.bytes(), mailbox.len()), (room(1), 1));
    assert!(matches!(mailbox.get(message(0, b"22"), room(1)), Delivery::Full(_)), "one byte beyond");
}

#[test]
fn an_empty_mailbox_takes_a_message_even_without_room() {
    let mut mailbox = Mailbox::default();
    assert!(matches!(mailbox.get(message(0, b"x"), 0), Delivery::Queued));
    assert!(matches!(mailbox.get(message(0, b"x"), 0), Delivery::Full(_)));
}

#[test]
fn an_awaited_reply_passes_a_full_mailbox() {
    let mut mailbox = Mailbox::default();
    mailbox.get(message(0, b"first"), 0);
    mailbox.wait_for(Filter::Tags(vec![7]));
    assert!(matches!(mailbox.get(message(8, b"other"), 0), Delivery::Full(_)));
    assert!(matches!(mailbox.get(message(7, b"reply"), 0), Delivery::Awaited));
    assert_eq!(data(mailbox.take_delivered()).unwrap(), b"reply");
    assert_eq!(mailbox.bytes(), message(0, b"first").mailbox_cost(), "a reply that was handed over takes no room");
}

#[test]
fn what_came_during_a_wait_that_was_given_up_comes_first() {
    let mut mailbox = Mailbox::default();
    mailbox.wait_for(Filter::Any);
    mailbox.get(message(0, b"A"), usize::MAX);
    mailbox.get(message(0, b"B"), usize::MAX);
    mailbox.stop_waiting();
    let mut inbox = Inbox::default();
    assert_eq!(data(mailbox.take(&mut inbox, &Filter::Any)).unwrap(), b"A");
    assert_eq!(data(mailbox.take(&mut inbox, &Filter::Any)).unwrap(), b"B");
    mailbox.count(inbox.received());
    assert_eq!(mailbox.bytes(), 0);
}

#[test]
fn untagged_messages_match_no_list_of_tags() {
    let mut mailbox = Mailbox::default();
    mailbox.get(message(0, b"x"), usize::MAX);
    let mut inbox = Inbox::default();
    assert!(mailbox.take(&mut inbox, &Filter::Tags(vec![0])).is_none());
    assert!(mailbox.take(&mut inbox, &Filter::Any).is_some());
}

#[test]
fn a_sender_that_found_no_room_after_all_keeps_its_place() {
    let mut mailbox = Mailbox::default();
    let waker = Waker::noop();
    let (first, second) = (mailbox.wait_for_room(from(None), 10, waker), mailbox.wait_for_room(from(None), 10, waker));
    assert_eq!(mailbox.admit(all(10)).len(), 1);
    mailbox.wait_for_room(from(Some(first)), 10, waker);
    assert_eq!((mailbox.is_let_in(from(Some(first)), 10), mailbox.is_let_in(from(Some(second)), 10)), (false, false));
    assert_eq!(mailbox.admit(all(10)).len(), 1);
    assert_eq!((mailbox.is_let_in(from(Some(first)), 10), mailbox.is_let_in(from(Some(second)), 10)), (true, false));
}

#[test]
fn nobody_overtakes_a_sender_that_was_let_in_and_has_not_sent_yet() {
    let account = Account::new(u64::MAX);
    let mut mailbox = Mailbox::default();
    let send = |mailbox: &mut Mailbox, ticket| mailbox.deliver(message(0, b"x"), from(ticket), all(usize::MAX), &account);
    let waits = mailbox.wait_for_room(from(None), 1, Waker::noop());
    assert!(matches!(send(&mut mailbox, Some(waits)), Delivery::Full(_)), "it was not told to");
    mailbox.admit(all(1));
    assert!(mailbox.admit(all(1)).is_empty(), "it is told once");
    assert!(matches!(send(&mut mailbox, None), Delivery::Full(_)));
    assert!(matches!(send(&mut mailbox, Some(waits)), Delivery::Queued));
    mailbox.forget_sender(waits);
    assert!(matches!(send(&mut mailbox, None), Delivery::Queued));
}

#[test]
fn who_was_let_in_sends_a_share_before_the_next_has_its_turn() {
    let account = Account::new(u64::MAX);
    let mut mailbox = Mailbox::default();
    let size = room(1);
    let send = |mailbox: &mut Mailbox, sender: u64, ticket| {
        let from = Origin { sender: Some(ActorId(sender)), ticket };
        let delivery = mailbox.deliver(message(0, b"x"), from, Room { free: usize::MAX, share: 3 * size }, &account);
        matches!(delivery, Delivery::Queued)
    };
    let of = |sender| Origin { sender: Some(ActorId(sender)), ticket: None };
    let (first, second) = (mailbox.wait_for_room(of(1), size, Waker::noop()), mailbox.wait_for_room(of(2), size, Waker::noop()));
    assert_eq!(mailbox.admit(Room { free: 3 * size, share: 3 * size }).len(), 1, "the share of the first");
    assert!(send(&mut mailbox, 1, Some(first)));
    mailbox.forget_sender(first);
    assert!(!send(&mut mailbox, 3, None), "one that did not wait");
    assert!(send(&mut mailbox, 1, None) && send(&mut mailbox, 1, None));
    assert!(!send(&mut mailbox, 1, None), "its turn is over");
    mailbox.wait_for_room(of(1), size, Waker::noop());
    assert!(!mailbox.is_let_in(from(Some(second)), size), "it was not told to");
    assert_eq!(mailbox.admit(Room { free: 3 * size, share: 3 * size }).len(), 1);
    assert!(send(&mut mailbox, 2, Some(second)));
}

#[test]
fn senders_wait_until_a_share_is_free_unless_the_actor_waits_too() {
    let mut mailbox = Mailbox::default();
    let (size, share) = (room(1), room(2));
    mailbox.get(message(0, b"x"), usize::MAX);
    mailbox.wait_for_room(Origin::default(), size, Waker::noop());
    assert!(mailbox.admit(Room { free: size, share }).is_empty());
    mailbox.wait_for(Filter::Tags(vec![7]));
    assert!(mailbox.admit(Room { free: size - 1, share }).is_empty(), "no room");
    assert_eq!(mailbox.admit(Room { free: size, share }).len(), 1, "what is queued is not what it waits for");
    mailbox.stop_waiting();
    mailbox.wait_for_room(Origin::default(), size, Waker::noop());
    assert_eq!(mailbox.admit(Room { free: 2 * share, share }).len(), 1, "a share for each of the two");
}

#[derive(Debug, Clone)]
enum Step {
    Send(i64),
    Take(Option<i64>),
    /// A receive that finds nothing and waits; a message may meet it before it is given up.
    Wait(Option<i64>),
    /// A call: it waits without a look at what is queued.
    Skip(i64),
    GetDelivered,
    GiveUp,
    /// It suspends.
    Count,
}

fn step() -> impl Strategy<Value = Step> {
    let tag = proptest::option::of(1i64..4);
    prop_oneof![
        4 => (0i64..4).prop_map(Step::Send),
        2 => tag.clone().prop_map(Step::Take),
        1 => tag.prop_map(Step::Wait),
        1 => (1i64..4).prop_map(Step::Skip),
        1 => Just(Step::GetDelivered),
        1 => Just(Step::GiveUp),
        1 => Just(Step::Count),
    ]
}

fn filter(tag: Option<i64>) -> Filter {
    tag.map_or(Filter::Any, |tag| Filter::Tags(vec![tag]))
}

/// What a mailbox is to do: a list of all that came and was not received, in the order of coming.
#[derive(Default)]
struct Model {
    left: Vec<(i64, u32)>,
    waits_for: Option<Option<i64>>,
    delivered: Option<(i64, u32)>,
}

impl Model {
    fn first(&self, tag: Option<i64>) -> Option<u32> {
        self.left.iter().find(|(own, _)| tag.is_none_or(|tag| *own == tag)).map(|(_, number)| *number)
    }

    fn remove(&mut self, number: u32) {
        self.left.retain(|(_, other)| *other != number);
    }
}

proptest! {
    /// All that is received, awaited, skipped or given up leaves the rest in the order of sending; nothing is lost or
    /// doubled, and the accounts of bytes are those of what is there.
    #[test]
    fn order_holds_whatever_is_selected_awaited_or_given_up(steps in proptest::collection::vec(step(), 0..80)) {
        let (mut mailbox, mut inbox) = (Mailbox::default(), Inbox::default());
        let (account, mut model) = (Account::new(u64::MAX), Model::default());
        let number = |envelope: Option<Envelope>| {
            let envelope = envelope?;
            account.release(envelope.cost());
            data(Some(envelope)).map(|data| u32::from_le_bytes(data.try_into().unwrap()))
        };
        let idle = |model: &Model| model.waits_for.is_none() && model.delivered.is_none();
        for (sent, step) in (0u32..).zip(steps) {
            match step {
                Step::Send(tag) => {
                    mailbox.deliver(message(tag, &sent.to_le_bytes()), Origin::default(), all(usize::MAX), &account);
                    model.left.push((tag, sent));
                    if model.waits_for.is_some_and(|wanted| wanted.is_none_or(|wanted| wanted == tag)) {
                        model.waits_for = None;
                        model.delivered = Some((tag, sent));
                    }
                }
                // As an actor does: one thing at a time.
                Step::Take(tag) if idle(&model) => {
                    let expected = model.first(tag);
                    prop_assert_eq!(number(mailbox.take(&mut inbox, &filter(tag))), expected);
                    expected.into_iter().for_each(|number| model.remove(number));
                }
                Step::Wait(tag) if idle(&model) && model.first(tag).is_none() => {
                    mailbox.wait_for(filter(tag));
                    model.waits_for = Some(tag);
                }
                Step::Skip(tag) if idle(&model) => {
                    mailbox.wait_for(filter(Some(tag)));
                    model.waits_for = Some(Some(tag));
                }
                Step::GetDelivered => {
                    let expected = model.delivered.take().map(|(_, number)| number);
                    prop_assert_eq!(number(mailbox.take_delivered()), expected);
                    expected.into_iter().for_each(|number| model.remove(number));
                }
                Step::GiveUp => {
                    mailbox.stop_waiting();
                    (model.waits_for, model.delivered) = (None, None);
                }
                Step::Count => {
                    mailbox.count(inbox.received());
                    prop_assert_eq!(mailbox.len(), model.left.len());
                }
                Step::Take(_) | Step::Wait(_) | Step::Skip(_) => {}
            }
            prop_assert_eq!(account.used(), model.left.len() as u64 * message(0, &[0; 4]).cost());
        }
        mailbox.stop_waiting();
        for (_, expected) in model.left {
            prop_assert_eq!(number(mailbox.take(&mut inbox, &Filter::Any)), Some(expected));
        }
        mailbox.count(inbox.received());
        prop_assert_eq!((mailbox.bytes(), account.used()), (0, 0));
    }
}
