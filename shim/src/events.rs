//! Events for containerd, in the order in which they happened.
//!
//! One task sends them, one after the other; while containerd restarts it tries again. The library's own publisher
//! would requeue a failed event behind later ones, and lose what is queued when the shim ends.

use std::{sync::Arc, time::Duration};

use containerd_shim::{
    event::Event,
    protos::{
        api::ForwardRequest,
        shim::event::Envelope,
        shim_async::{Client, EventsClient},
        ttrpc::context,
    },
    util::timestamp,
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::any::{self, Named};

/// Events that wait while containerd is away; more are dropped, and containerd asks for states when it is back.
const QUEUE: usize = 1024;
/// For one attempt. containerd answers within milliseconds.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one event is tried: a restart of containerd takes seconds.
const GIVE_UP: Duration = Duration::from_secs(60);
/// Between attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the shim's end waits for events that are still queued.
const DRAIN: Duration = Duration::from_secs(2);

/// Takes events; clones share one queue.
#[derive(Clone)]
pub(crate) struct Events {
    namespace: Arc<str>,
    queue: mpsc::Sender<Envelope>,
}

/// The sending end, to be run as a task until the shim ends.
pub(crate) struct Forwarder {
    address: String,
    queue: mpsc::Receiver<Envelope>,
    client: Option<EventsClient>,
}

/// Events and what sends them to containerd's ttrpc socket at `address`.
pub(crate) fn channel(namespace: &str, address: &str) -> (Events, Forwarder) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let events = Events { namespace: namespace.into(), queue: sender };
    (events, Forwarder { address: address.to_owned(), queue: receiver, client: None })
}

impl Events {
    /// Queues an event. Never waits.
    pub(crate) fn publish(&self, event: impl Event + Named) {
        let topic = event.topic();
        let envelope = timestamp().and_then(|now| {
            let mut envelope = Envelope::new();
            envelope.set_topic(topic.clone());
            envelope.set_namespace(self.namespace.to_string());
            envelope.set_timestamp(now);
            envelope.set_event(any::pack(&event)?);
            Ok(envelope)
        });
        match envelope.map(|envelope| self.queue.try_send(envelope)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log::error!("event {topic} is dropped: {error}"),
            Err(error) => log::error!("event {topic} cannot be encoded: {error}"),
        }
    }
}

impl Forwarder {
    /// Sends until `stop`, and then what is still queued, for at most [`DRAIN`]. An attempt that `stop` finds on its way is
    /// not begun again: containerd would hear of the event twice.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        let sending = async {
            while let Some(envelope) = next(&mut self.queue, &stop).await {
                send(&self.address, &mut self.client, &envelope).await;
            }
        };
        tokio::select! {
            () = sending => {}
            () = late => log::warn!("the shim ends with events that containerd did not take"),
        }
    }
}

/// The next event; none when there is none and nobody makes more.
async fn next(queue: &mut mpsc::Receiver<Envelope>, stop: &CancellationToken) -> Option<Envelope> {
    tokio::select! {
        biased;
        envelope = queue.recv() => envelope,
        () = stop.cancelled() => None,
    }
}

/// Tries until containerd has it or [`GIVE_UP`] is over.
async fn send(address: &str, client: &mut Option<EventsClient>, envelope: &Envelope) {
    let since = Instant::now();
    loop {
        let error = match attempt(address, client, envelope).await {
            Ok(()) => return,
            Err(error) => error,
        };
        *client = None;
        if since.elapsed() > GIVE_UP {
            log::error!("event {} is dropped: {error}", envelope.topic);
            return;
        }
        log::debug!("event {} is tried again: {error}", envelope.topic);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn attempt(address: &str, client: &mut Option<EventsClient>, envelope: &Envelope) -> Result<(), String> {
    let client = match client {
        Some(client) => client,
        None => client.insert(connect(address).await?),
    };
    let mut request = ForwardRequest::new();
    request.set_envelope(envelope.clone());
    let context = context::with_duration(SEND_TIMEOUT);
    client.forward(context, &request).await.map(drop).map_err(|error| error.to_string())
}

async fn connect(address: &str) -> Result<EventsClient, String> {
    let address = if address.contains("://") { address.to_owned() } else { format!("unix://{address}") };
    Client::connect(&address).await.map(EventsClient::new).map_err(|error| format!("{address}: {error}"))
}
