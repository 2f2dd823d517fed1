//! Wasm artifacts: images whose layers are modules instead of archives of files.
//!
//! containerd pulls such an image and unpacks nothing, so the container's root file system is empty; the modules are
//! taken out of containerd's store into the container's folder. Which of an image's layers are modules is told by their
//! media type alone, so both kinds work: a config `application/vnd.wasm.config.v0+json`, and an OCI image config with
//! `architecture: wasm`.

use std::{collections::HashSet, fs::File, path::Path};

use crate::{
    bundle::make_folder,
    content::{ContentError, Descriptor, Manifest, Store},
    image::ImageError,
    module::{Content, ModuleError, content, missing, only},
};

/// Media types of a layer that is a module: the CNCF's, and those that older tools write.
const MODULE_TYPES: [&str; 3] = [
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
];
/// The annotation with a layer's file name.
const TITLE: &str = "org.opencontainers.image.title";
/// Name of a layer without a title.
const UNTITLED: &str = "module.wasm";
/// Most modules of one artifact. One per class of actors is plenty.
const MAX_MODULES: usize = 64;
/// Manifests of an index that are looked at.
const MAX_MANIFESTS: usize = 32;
/// Longest file name of common file systems, in bytes.
const MAX_TITLE: usize = 255;

/// The modules of an artifact.
#[derive(Debug)]
pub(crate) struct Artifact {
    modules: Vec<Module>,
}

#[derive(Debug)]
struct Module {
    title: String,
    layer: Descriptor,
}

/// An image that is meant as an artifact but cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArtifactError {
    #[error("the layer's title {0:?} is no file name: write one such as \"web.wasm\" into {TITLE}")]
    Title(String),
    #[error("two layers of the artifact have the title {0:?}")]
    Duplicate(String),
    #[error("the artifact has more than {MAX_MODULES} modules")]
    TooMany,
}

impl Artifact {
    /// The modules of a container's image; `None` when it has no layer that is one.
    ///
    /// For containerd's CRI an image is its config: two artifacts with the same modules under different titles have the
    /// same config, and the container's record may name either. So the name that the pod's author wrote (`wanted`)
    /// decides, as long as it stands for the same config.
    pub(crate) async fn find(store: &mut Store, container: &str, wanted: Option<&str>) -> Result<Option<Self>, ImageError> {
        let image = store.image_of(container).await?;
        let target = store.target_of(&image).await?;
        let Some((config, found)) = Self::at(store, &target).await? else { return Ok(None) };
        let wanted = wanted.map(normalize).filter(|wanted| *wanted != image);
        if let Some(wanted) = wanted
            && let Some(target) = store.find_target_of(&wanted).await?
            && let Some((other_config, other)) = Self::at(store, &target).await?
            && other_config == config
        {
            return Ok(Some(other));
        }
        Ok(Some(found))
    }

    /// The artifact of a manifest, or of the first manifest in an index that is one, with the digest of its config.
    async fn at(store: &mut Store, target: &Descriptor) -> Result<Option<(String, Self)>, ImageError> {
        let Some(top) = store.manifest(target).await? else { return Ok(None) };
        if let Some(artifact) = Self::of(&top)? {
            return Ok(Some((top.config.digest, artifact)));
        }
        for descriptor in top.manifests.iter().take(MAX_MANIFESTS) {
            // Those of other platforms are not there.
            if let Some(manifest) = store.manifest(descriptor).await?
                && let Some(artifact) = Self::of(&manifest)?
            {
                return Ok(Some((manifest.config.digest, artifact)));
            }
        }
        Ok(None)
    }

    fn of(manifest: &Manifest) -> Result<Option<Self>, ArtifactError> {
        let layers = manifest.layers.iter().filter(|layer| MODULE_TYPES.contains(&layer.media_type.as_str()));
        let mut titles = HashSet::new();
        let mut modules = Vec::new();
        for layer in layers {
            let title = layer.annotations.get(TITLE).map_or(UNTITLED, String::as_str);
            if !is_file_name(title) {
                return Err(ArtifactError::Title(title.to_owned()));
            }
            if !titles.insert(title) {
                return Err(ArtifactError::Duplicate(title.to_owned()));
            }
            if modules.len() == MAX_MODULES {
                return Err(ArtifactError::TooMany);
            }
            modules.push(Module { title: title.to_owned(), layer: layer.clone() });
        }
        Ok((!modules.is_empty()).then_some(Self { modules }))
    }

    /// The module called `name`, with or without a leading `/`.
    pub(crate) fn named(&self, name: &str) -> Result<String, ModuleError> {
        let title = name.trim_start_matches('/');
        let found = self.modules.iter().any(|module| module.title == title);
        if found { Ok(title.to_owned()) } else { Err(missing(name, &self.titles())) }
    }

    /// Its one module.
    pub(crate) fn only(&self) -> Result<String, ModuleError> {
        only(self.titles())
    }

    fn titles(&self) -> Vec<String> {
        self.modules.iter().map(|module| module.title.clone()).collect()
    }

    /// Writes the modules that are `used` into a folder, each checked against its digest.
    pub(crate) async fn write(&self, used: &HashSet<&str>, store: &mut Store, folder: &Path) -> Result<(), ImageError> {
        let failed = |source| ContentError::Write { path: folder.to_owned(), source };
        make_folder(folder).map_err(failed)?;
        for module in self.modules.iter().filter(|module| used.contains(module.title.as_str())) {
            let path = folder.join(&module.title);
            store.copy(&module.layer, &path).await?;
            let kind: Content = File::open(&path).and_then(content).map_err(failed)?;
            kind.check(&module.title)?;
        }
        Ok(())
    }
}

/// The name under which containerd has an image that a pod's author called `name`: Docker's rules for short names, and
/// of a tag and a digest only the digest.
fn normalize(name: &str) -> String {
    let has_domain = name.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost");
    let full = match (has_domain, name.contains('/')) {
        (true, _) => name.to_owned(),
        (false, true) => format!("docker.io/{name}"),
        (false, false) => format!("docker.io/library/{name}"),
    };
    let (rest, digest) = full.split_once('@').map_or((full.as_str(), None), |(rest, digest)| (rest, Some(digest)));
    // A colon before the last slash belongs to a port.
    let tag = rest.rfind(':').filter(|colon| rest.rfind('/').is_none_or(|slash| slash < *colon));
    match (digest, tag) {
        (Some(digest), tag) => format!("{}@{digest}", tag.map_or(rest, |colon| rest.split_at(colon).0)),
        (None, Some(_)) => full,
        (None, None) => format!("{full}:latest"),
    }
}

fn is_file_name(title: &str) -> bool {
    !title.is_empty()
        && title.len() <= MAX_TITLE
        && !matches!(title, "." | "..")
        && !title.contains('/')
        && !title.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(layers: &[(&str, Option<&str>)]) -> Manifest {
        let layers = layers.iter().map(|(media_type, title)| Descriptor {
            media_type: (*media_type).to_owned(),
            annotations: title.iter().map(|title| (TITLE.to_owned(), (*title).to_owned())).collect(),
            ..Descriptor::default()
        });
        Manifest { layers: layers.collect(), ..Manifest::default() }
    }

    #[test]
    fn image_names_are_completed_as_containerd_does() {
        for (name, full) in [
            ("shop", "docker.io/library/shop:latest"),
            ("team/shop:1", "docker.io/team/shop:1"),
            ("localhost:5000/shop", "localhost:5000/shop:latest"),
            ("localhost/shop:2", "localhost/shop:2"),
            ("registry.example/a/shop:1.4.0", "registry.example/a/shop:1.4.0"),
            ("registry.example/shop:1@sha256:ab", "registry.example/shop@sha256:ab"),
            ("registry.example:1/shop@sha256:ab", "registry.example:1/shop@sha256:ab"),
        ] {
            assert_eq!(normalize(name), full);
        }
    }

    #[test]
    fn layers_are_modules_by_their_media_type() {
        let mixed = manifest(&[("application/vnd.oci.image.layer.v1.tar+gzip", None), (MODULE_TYPES[0], Some("web.wasm"))]);
        assert_eq!(Artifact::of(&mixed).unwrap().unwrap().titles(), ["web.wasm"]);
        assert!(Artifact::of(&manifest(&[("application/vnd.oci.image.layer.v1.tar+gzip", None)])).unwrap().is_none());
    }

    /// As `wkg oci push` 0.16.1 left a core module in a registry.
    #[test]
    fn what_wkg_pushes_is_an_artifact() {
        let manifest: Manifest = serde_json::from_str(include_str!("artifact/testdata/wkg-manifest.json")).unwrap();
        let config: serde_json::Value = serde_json::from_str(include_str!("artifact/testdata/wkg-config.json")).unwrap();
        assert_eq!(manifest.config.media_type, "application/vnd.wasm.config.v0+json");
        assert_eq!(config["layerDigests"][0], *manifest.layers[0].digest);
        assert_eq!(Artifact::of(&manifest).unwrap().unwrap().only().unwrap(), "hello.wasm");
    }

    #[test]
    fn a_layer_without_a_title_gets_one() {
        let artifact = Artifact::of(&manifest(&[(MODULE_TYPES[0], None)])).unwrap().unwrap();
        assert_eq!(artifact.only().unwrap(), UNTITLED);
        assert_eq!(artifact.named("/module.wasm").unwrap(), UNTITLED);
    }

    #[test]
    fn a_title_that_is_no_file_name_is_refused() {
        for title in ["", ".", "..", "../x.wasm", "/etc/x", "a/b", "a\nb", &"x".repeat(256)] {
            let error = Artifact::of(&manifest(&[(MODULE_TYPES[0], Some(title))])).unwrap_err();
            assert!(matches!(error, ArtifactError::Title(_)), "{title}");
        }
    }

    #[test]
    fn two_layers_need_two_titles() {
        let error = Artifact::of(&manifest(&[(MODULE_TYPES[0], None), (MODULE_TYPES[0], None)])).unwrap_err();
        assert!(matches!(error, ArtifactError::Duplicate(_)));
        let many: Vec<_> = (0..=MAX_MODULES).map(|number| format!("{number}.wasm")).collect();
        let layers: Vec<_> = many.iter().map(|title| (MODULE_TYPES[0], Some(title.as_str()))).collect();
        assert!(Artifact::of(&manifest(&layers[..MAX_MODULES])).is_ok());
        assert!(matches!(Artifact::of(&manifest(&layers)), Err(ArtifactError::TooMany)));
    }

    #[test]
    fn a_module_that_is_not_there_is_answered_with_those_that_are() {
        let artifact = Artifact::of(&manifest(&[(MODULE_TYPES[0], Some("a.wasm")), (MODULE_TYPES[1], Some("b.wasm"))]));
        let artifact = artifact.unwrap().unwrap();
        let error = artifact.named("c.wasm").unwrap_err().to_string();
        assert!(error.contains("a.wasm, b.wasm"), "{error}");
        assert!(artifact.only().is_err());
    }
}
