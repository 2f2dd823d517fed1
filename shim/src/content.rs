//! Reads from containerd: which image a container has, and the blobs of that image.
//!
//! Three calls, so their messages are written down here instead of being generated from containerd's protocol files.
//! containerd is connected to only when a container needs it.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use prost::Message;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tonic::{
    Request, Status,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

/// containerd's own bound for one message; it sends blobs in smaller pieces.
const MESSAGE_CAP: usize = 16 << 20;
/// Most bytes of a manifest: the bound of containerd and of registries.
const MANIFEST_CAP: u64 = 4 << 20;

/// What containerd's store could not give.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    #[error("containerd at {address}: {source}")]
    Connect { address: String, source: tonic::transport::Error },
    #[error("containerd {call}: {} ({:?})", .status.message(), .status.code())]
    Call { call: &'static str, status: Box<Status> },
    #[error("containerd {call}: the answer is empty")]
    Empty { call: &'static str },
    #[error("blob {digest} is not usable: {reason}")]
    Blob { digest: String, reason: &'static str },
    #[error("manifest {digest}: {source}")]
    Manifest { digest: String, source: serde_json::Error },
    #[error("{path}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// A blob by its digest.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    pub(crate) annotations: std::collections::HashMap<String, String>,
}

/// A manifest, or an index of manifests: the fields of the one are absent in the other.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) manifests: Vec<Descriptor>,
}

/// A connection to containerd.
pub(crate) struct Store {
    grpc: Grpc<Channel>,
    namespace: MetadataValue<Ascii>,
}

impl Store {
    /// Connects to containerd's socket.
    pub(crate) async fn connect(address: &str, namespace: &str) -> Result<Self, ContentError> {
        let failed = |source| ContentError::Connect { address: address.to_owned(), source };
        let uri = if address.contains("://") { address.to_owned() } else { format!("unix://{address}") };
        let channel = Endpoint::try_from(uri).map_err(failed)?.connect().await.map_err(failed)?;
        let namespace = namespace.parse().map_err(|_| ContentError::Empty { call: "namespace" })?;
        Ok(Self { grpc: Grpc::new(channel).max_decoding_message_size(MESSAGE_CAP), namespace })
    }

    /// Name of a container's image.
    pub(crate) async fn image_of(&mut self, container: &str) -> Result<String, ContentError> {
        let call = "Containers/Get";
        let request = ById { id: container.to_owned() };
        let answer: ContainerAnswer = self.unary(call, "/containerd.services.containers.v1.Containers/Get", request).await?;
        let image = answer.container.map(|container| container.image).filter(|image| !image.is_empty());
        image.ok_or(ContentError::Empty { call })
    }

    /// The top manifest or index of an image.
    pub(crate) async fn target_of(&mut self, image: &str) -> Result<Descriptor, ContentError> {
        let call = "Images/Get";
        let request = ById { id: image.to_owned() };
        let answer: ImageAnswer = self.unary(call, "/containerd.services.images.v1.Images/Get", request).await?;
        let target = answer.image.and_then(|image| image.target).ok_or(ContentError::Empty { call })?;
        let size = u64::try_from(target.size).unwrap_or(0);
        Ok(Descriptor { media_type: target.media_type, digest: target.digest, size, ..Descriptor::default() })
    }

    /// The same, or `None` when no image is called so.
    pub(crate) async fn find_target_of(&mut self, image: &str) -> Result<Option<Descriptor>, ContentError> {
        match self.target_of(image).await {
            Err(ContentError::Call { status, .. }) if status.code() == tonic::Code::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// A manifest or index. `None` when containerd did not fetch it, as those of other platforms.
    pub(crate) async fn manifest(&mut self, of: &Descriptor) -> Result<Option<Manifest>, ContentError> {
        if of.size > MANIFEST_CAP {
            return Err(ContentError::Blob { digest: of.digest.clone(), reason: "the manifest is larger than 4 MiB" });
        }
        let mut text = Vec::new();
        match self.read(of, |piece| text.write_all(piece)).await {
            Err(ContentError::Call { status, .. }) if status.code() == tonic::Code::NotFound => return Ok(None),
            read => read?,
        }
        let bad = |source| ContentError::Manifest { digest: of.digest.clone(), source };
        serde_json::from_slice(&text).map(Some).map_err(bad)
    }

    /// Writes a blob to a file, if it is what its digest says.
    pub(crate) async fn copy(&mut self, of: &Descriptor, to: &Path) -> Result<(), ContentError> {
        let failed = |source| ContentError::Write { path: to.to_owned(), source };
        let mut file = std::fs::File::create(to).map_err(failed)?;
        self.read(of, |piece| file.write_all(piece)).await.map_err(|error| match error {
            ContentError::Write { source, .. } => failed(source),
            other => other,
        })
    }

    /// Hands a blob to `take` piece by piece. The last piece has come when this returns, and the digest was right.
    async fn read(&mut self, of: &Descriptor, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), ContentError> {
        let bad = |reason| ContentError::Blob { digest: of.digest.clone(), reason };
        let expected = of.digest.strip_prefix("sha256:").ok_or_else(|| bad("only sha256 digests are known"))?;
        let call = "Content/Read";
        let failed = |status| ContentError::Call { call, status: Box::new(status) };
        let request = self.request(ReadRequest { digest: of.digest.clone(), offset: 0, size: 0 });
        self.grpc.ready().await.map_err(|error| failed(Status::unavailable(error.to_string())))?;
        let path = PathAndQuery::from_static("/containerd.services.content.v1.Content/Read");
        let codec = ProstCodec::<ReadRequest, Piece>::default();
        let mut pieces = self.grpc.server_streaming(request, path, codec).await.map_err(failed)?.into_inner();
        let (mut hash, mut size) = (Sha256::new(), 0);
        while let Some(piece) = pieces.message().await.map_err(failed)? {
            size += piece.data.len() as u64;
            if size > of.size {
                return Err(bad("it is larger than its descriptor says"));
            }
            hash.update(&piece.data);
            take(&piece.data).map_err(|source| ContentError::Write { path: PathBuf::new(), source })?;
        }
        if hex(&hash.finalize()) != expected || size != of.size {
            return Err(bad("its content is not what its digest says"));
        }
        Ok(())
    }

    async fn unary<Q, A>(&mut self, call: &'static str, path: &'static str, query: Q) -> Result<A, ContentError>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let failed = |status| ContentError::Call { call, status: Box::new(status) };
        let request = self.request(query);
        self.grpc.ready().await.map_err(|error| failed(Status::unavailable(error.to_string())))?;
        let answer = self.grpc.unary(request, PathAndQuery::from_static(path), ProstCodec::<Q, A>::default()).await;
        Ok(answer.map_err(failed)?.into_inner())
    }

    fn request<Q>(&self, query: Q) -> Request<Q> {
        let mut request = Request::new(query);
        request.metadata_mut().insert("containerd-namespace", self.namespace.clone());
        request
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

// Messages of containerd's API (api/services/{containers,images,content}/v1), with the fields that are read.

#[derive(Clone, PartialEq, Message)]
struct ById {
    /// `id` of a container, `name` of an image.
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerAnswer {
    #[prost(message, optional, tag = "1")]
    container: Option<ContainerRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerRecord {
    #[prost(string, tag = "3")]
    image: String,
}

#[derive(Clone, PartialEq, Message)]
struct ImageAnswer {
    #[prost(message, optional, tag = "1")]
    image: Option<ImageRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct ImageRecord {
    #[prost(message, optional, tag = "3")]
    target: Option<DescriptorRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct DescriptorRecord {
    #[prost(string, tag = "1")]
    media_type: String,
    #[prost(string, tag = "2")]
    digest: String,
    #[prost(int64, tag = "3")]
    size: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ReadRequest {
    #[prost(string, tag = "1")]
    digest: String,
    #[prost(int64, tag = "2")]
    offset: i64,
    #[prost(int64, tag = "3")]
    size: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Piece {
    #[prost(int64, tag = "1")]
    offset: i64,
    #[prost(bytes = "vec", tag = "2")]
    data: Vec<u8>,
}
