//! Messages inside of others, with the names by which containerd knows them.
//!
//! The library takes such a name from protobuf's reflection, which for that builds descriptions of the message's file and
//! of all files that it refers to: milliseconds before the first event, and a third of the shim's own memory for good.

use containerd_shim::{
    api::Options,
    protos::{
        cgroups, cgroups_v2,
        events::task::{
            TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskOOM, TaskPaused, TaskResumed, TaskStart,
        },
        protobuf::{Message, well_known_types::any::Any},
        shim::oci::ProcessDetails,
    },
};

/// A message with a name.
pub(crate) trait Named: Message {
    const FULL_NAME: &'static str;
}

macro_rules! names {
    ($($message:ty = $name:literal;)*) => {
        $(impl Named for $message {
            const FULL_NAME: &'static str = $name;
        })*

        #[test]
        fn names_are_those_of_the_protocol() {
            use containerd_shim::protos::protobuf::MessageFull;
            $(assert_eq!($name, <$message>::descriptor().full_name());)*
        }
    };
}

names! {
    TaskCreate = "containerd.events.TaskCreate";
    TaskStart = "containerd.events.TaskStart";
    TaskExit = "containerd.events.TaskExit";
    TaskDelete = "containerd.events.TaskDelete";
    TaskOOM = "containerd.events.TaskOOM";
    TaskExecAdded = "containerd.events.TaskExecAdded";
    TaskExecStarted = "containerd.events.TaskExecStarted";
    TaskPaused = "containerd.events.TaskPaused";
    TaskResumed = "containerd.events.TaskResumed";
    ProcessDetails = "containerd.runc.v1.ProcessDetails";
    Options = "containerd.runc.v1.Options";
    cgroups::metrics::Metrics = "io.containerd.cgroups.v1.Metrics";
    cgroups_v2::metrics::Metrics = "io.containerd.cgroups.v2.Metrics";
}

/// Packs a message.
pub(crate) fn pack<M: Named>(message: &M) -> containerd_shim::Result<Any> {
    Ok(Any { type_url: M::FULL_NAME.to_owned(), value: message.write_to_bytes()?, ..Any::default() })
}

/// Whether it is such a message. Others than containerd put a host before the name.
pub(crate) fn is<M: Named>(any: &Any) -> bool {
    any.type_url.rsplit('/').next() == Some(M::FULL_NAME)
}
