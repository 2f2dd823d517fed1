//! The binary: read the command line, connect, run until told to stop.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use clap::Parser;
use kube::Client;
use perigee_operator::admin::Admin;
use perigee_operator::args::{Args, Command, LogFormat};
use perigee_operator::controller::Controllers;
use perigee_operator::crd::crd_yaml;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing_subscriber::EnvFilter;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.command {
        Some(Command::Crd) => io::stdout().write_all(crd_yaml().as_bytes()).context("failed to print"),
        None => {
            start_log(args.log_format)?;
            tokio::runtime::Runtime::new()?.block_on(run(args))
        }
    }
}

fn start_log(format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env()?;
    // It logs every refused call as an error; where a call is made, we know which of them is one, and log that.
    let filter = filter.add_directive("kube_client::client::builder=off".parse()?);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

async fn run(args: Args) -> anyhow::Result<()> {
    let client = Client::try_default().await.context("found no cluster to work in")?;
    let listener = TcpListener::bind(args.admin_address)
        .await
        .with_context(|| format!("cannot listen on --admin-address {}", args.admin_address))?;
    let shutdown = CancellationToken::new();
    let controllers = Controllers::new(&client, &args.watch_namespace, &shutdown);
    let admin = Admin::new(&controllers);
    let listed = controllers.listed();
    info!(version = env!("CARGO_PKG_VERSION"), namespaces = ?args.watch_namespace, "operator started");
    // Whatever ends first, the others are told: a process that half works would never be restarted.
    let (served, stopped, (), ()) = tokio::join!(
        then_stop(admin.clone().serve(listener, shutdown.clone()), &shutdown),
        then_stop(wait_for_signal(&shutdown), &shutdown),
        then_stop(controllers.run(&shutdown), &shutdown),
        set_ready(listed, &admin, &shutdown),
    );
    served.context("the admin server failed")?;
    stopped
}

async fn then_stop<T>(task: impl Future<Output = T>, shutdown: &CancellationToken) -> T {
    let result = task.await;
    shutdown.cancel();
    result
}

async fn set_ready(listed: impl Future<Output = ()>, admin: &Admin, shutdown: &CancellationToken) {
    tokio::select! {
        () = listed => admin.set_ready(),
        () = shutdown.cancelled() => {}
    }
}

async fn wait_for_signal(shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM: stopping"),
        _ = interrupt.recv() => info!("SIGINT: stopping"),
        () = shutdown.cancelled() => {}
    }
    Ok(())
}
