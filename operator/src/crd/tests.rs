use std::fs;
use std::path::{Path, PathBuf};

use kube::Resource;
use perigee_spec::manifest::ManifestSpec;
use serde_json::Value;

use super::rules::RULES;
use super::schema::definition;
use super::*;

/// The definition's own tests, beside the generated file.
fn cases(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/tests").join(folder);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files.map(|file| file.unwrap().path()).map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn spec_schema() -> Value {
    definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

#[test]
fn the_type_is_named_as_the_specification_says() {
    assert_eq!(ActorApp::group(&()), perigee_spec::GROUP);
    assert_eq!(ActorApp::version(&()), perigee_spec::VERSION);
    assert_eq!(ActorApp::kind(&()), perigee_spec::KIND);
}

/// `perigee run` and the cluster read the same manifest: a field that only one of them knows would be lost or refused.
#[test]
fn the_definition_and_the_manifest_have_the_same_fields() {
    let properties = spec_schema()["properties"].as_object().unwrap().clone();
    let unknown = serde_json::from_str::<ManifestSpec>(r#"{"no such field": 1}"#).unwrap_err().to_string();
    let (_, listed) = unknown.split_once("expected one of ").expect("serde lists the fields of a closed struct");
    let mut known: Vec<&str> =
        listed.split('`').filter(|name| name.chars().all(char::is_alphanumeric) && !name.is_empty()).collect();
    known.retain(|name| !matches!(*name, "at" | "line" | "column"));
    known.sort_unstable();
    assert_eq!(properties.keys().map(String::as_str).collect::<Vec<_>>(), known);
}

#[test]
fn paths_of_scale_and_columns_resolve() {
    let definition = definition();
    let version = &definition["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let scale = version["subresources"]["scale"].as_object().unwrap().values();
    let columns = version["additionalPrinterColumns"].as_array().unwrap().iter().map(|column| &column["jsonPath"]);
    for path in scale.chain(columns).map(|path| path.as_str().unwrap()).filter(|path| !path.starts_with(".metadata")) {
        let pointer = path.replace('.', "/properties/");
        assert!(schema.pointer(&pointer).is_some(), "{path} is not in the schema");
    }
    assert_eq!(version["subresources"]["status"], serde_json::json!({}));
}

/// What is open lets a misspelt permission through.
#[test]
fn only_the_pod_template_is_open() {
    fn open(at: &str, schema: &Value, found: &mut Vec<String>) {
        if schema.get("x-kubernetes-preserve-unknown-fields").is_some() {
            found.push(at.to_owned());
        }
        match schema {
            Value::Object(fields) => fields.iter().for_each(|(name, field)| open(&format!("{at}/{name}"), field, found)),
            Value::Array(list) => list.iter().for_each(|field| open(at, field, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    open("", &spec_schema(), &mut found);
    assert_eq!(found, ["/properties/podTemplate/properties/spec"]);
}

#[test]
fn every_rule_has_a_refused_example() {
    let cases = cases("refused");
    for (path, text) in &cases {
        assert!(text.starts_with("# refused: "), "{} does not say why it is refused", path.display());
    }
    for rule in RULES {
        let shown = cases
            .iter()
            .filter_map(|(_, text)| text.lines().next()?.strip_prefix("# refused: "))
            .any(|part| rule.message.starts_with(part));
        assert!(shown, "no file in crds/tests/refused begins with the message {:?}", rule.message);
    }
}

#[test]
fn accepted_examples_read_in_the_operator_and_in_the_command_line_tool() {
    for (path, text) in cases("accepted") {
        let app: ActorApp = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let manifest = perigee_spec::Manifest::parse(serde_yaml::Deserializer::from_str(&text)).unwrap();
        assert_eq!(app.spec.actors, manifest.spec.actors);
        manifest.app().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// The annotation of `kubectl apply` holds the whole object and has 256 KiB at most.
#[test]
fn the_definition_is_small_enough_for_client_side_apply() {
    assert!(crd_yaml().len() < 128 << 10, "{} bytes", crd_yaml().len());
}
