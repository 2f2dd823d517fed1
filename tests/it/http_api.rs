//! A program in a framework that was written for Lunatic, behind a Service.

use anyhow::{Context, Result, ensure};
use perigee_e2e::built;
use perigee_e2e::cluster::tests_folder;
use perigee_e2e::images;
use perigee_e2e::ns::with_perigee;
use perigee_e2e::wait;

/// As its manifest calls it.
const IMAGE: (&str, &str) = ("http-api", "0.1.0");

#[test]
fn a_submillisecond_application_answers_through_its_service() -> Result<()> {
    with_perigee(|namespace| {
        let (name, tag) = IMAGE;
        images::packed(namespace.cluster, name, Some(tag), &[built::guest(name)?], &[])?;
        let manifest = tests_folder("../examples/http-api/app.yaml");
        namespace.kubectl(&["apply", "-f", manifest.to_str().context("not UTF-8")?])?;
        namespace.wait_for_condition("actorapp/http-api", "Available")?;
        let hello = wait::until("the Service answers", wait::LIMIT, || namespace.ask(name, "/hello/cluster", &[]))?;
        ensure!(hello == "hello, cluster\n", "{hello:?}");
        let json = ["--header", "Content-Type: application/json", "--data"];
        let sum = namespace.ask(name, "/sum", &[&json[..], &[r#"{"numbers": [20, 22]}"#]].concat())?;
        ensure!(sum == r#"{"sum":42,"count":2}"#, "{sum:?}");
        let too_large = format!(r#"{{"numbers": [{}, 1]}}"#, i64::MAX);
        ensure!(namespace.ask(name, "/sum", &[&json[..], &[&too_large]].concat()).is_err());
        ensure!(namespace.ask(name, "/", &[])? == "hello\n");
        let pod = namespace.wait_for_pod_of("http-api")?;
        ensure!(pod["status"]["containerStatuses"][0]["restartCount"] == 0, "{:#}", pod["status"]);
        Ok(())
    })
}
