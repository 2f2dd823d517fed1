//! A program in a framework that was written for Lunatic, behind a Service.

use anyhow::{Context, Result, ensure};
use perigee_e2e::built;
use perigee_e2e::cluster::{output_of, tests_folder};
use perigee_e2e::images;
use perigee_e2e::ns::{Namespace, with_perigee};
use perigee_e2e::wait;

/// As its manifest calls it.
const IMAGE: (&str, &str) = ("http-api", "0.1.0");

/// Asks the Service from the host with these options of curl; the answer's body.
fn ask(namespace: &Namespace, path: &str, options: &[&str]) -> Result<String> {
    let service = namespace.kubectl_json(&["get", "service", "http-api"])?;
    let address = service["spec"]["clusterIP"].as_str().context("the Service has no address")?;
    let mut curl = namespace.cluster.command("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "5"]).args(options).arg(format!("http://{address}{path}"));
    output_of(&mut curl)
}

#[test]
fn a_submillisecond_application_answers_through_its_service() -> Result<()> {
    with_perigee(|namespace| {
        let (name, tag) = IMAGE;
        images::packed(namespace.cluster, name, Some(tag), &[built::guest(name)?], &[])?;
        let manifest = tests_folder("../examples/http-api/app.yaml");
        namespace.kubectl(&["apply", "-f", manifest.to_str().context("not UTF-8")?])?;
        namespace.wait_for_condition("actorapp/http-api", "Available")?;
        let hello = wait::until("the Service answers", wait::LIMIT, || ask(namespace, "/hello/cluster", &[]))?;
        ensure!(hello == "hello, cluster\n", "{hello:?}");
        let json = ["--header", "Content-Type: application/json", "--data"];
        let sum = ask(namespace, "/sum", &[&json[..], &[r#"{"numbers": [20, 22]}"#]].concat())?;
        ensure!(sum == r#"{"sum":42,"count":2}"#, "{sum:?}");
        let too_large = format!(r#"{{"numbers": [{}, 1]}}"#, i64::MAX);
        ensure!(ask(namespace, "/sum", &[&json[..], &[&too_large]].concat()).is_err());
        ensure!(ask(namespace, "/", &[])? == "hello\n");
        let pod = namespace.wait_for_pod_of("http-api")?;
        ensure!(pod["status"]["containerStatuses"][0]["restartCount"] == 0, "{:#}", pod["status"]);
        Ok(())
    })
}
