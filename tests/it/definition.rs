//! The API server, with the definition of ActorApp as the chart installs it, accepts and refuses what it has to.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use perigee_e2e::cluster::tests_folder;
use perigee_e2e::ns::{Namespace, with_perigee};

fn examples(folder: &str) -> Result<Vec<PathBuf>> {
    let folder = tests_folder("../crds/tests").join(folder);
    let files = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    ensure!(!files.is_empty(), "no examples in {}", folder.display());
    Ok(files)
}

fn ask(namespace: &Namespace, file: &Path) -> Result<String> {
    namespace.kubectl(&["apply", "--dry-run=server", "-f", file.to_str().context("not UTF-8")?])
}

#[test]
fn the_accepted_examples_are_accepted() -> Result<()> {
    with_perigee(|namespace| {
        for file in examples("accepted")? {
            ask(namespace, &file).with_context(|| file.display().to_string())?;
        }
        Ok(())
    })
}

#[test]
fn the_refused_examples_are_refused_for_their_reason() -> Result<()> {
    with_perigee(|namespace| {
        for file in examples("refused")? {
            let text = fs::read_to_string(&file)?;
            let first = text.lines().next().and_then(|line| line.strip_prefix("# refused: "));
            let reason = first.with_context(|| format!("{}: no line \"# refused: REASON\"", file.display()))?;
            match ask(namespace, &file) {
                Ok(answer) => ensure!(false, "{} was accepted: {answer}", file.display()),
                Err(refusal) => ensure!(refusal.to_string().contains(reason), "{}: {refusal:#}", file.display()),
            }
        }
        Ok(())
    })
}
