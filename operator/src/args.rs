//! The command line.

use std::net::SocketAddr;

use clap::{Parser, Subcommand, ValueEnum};

/// Runs ActorApps: keeps a Deployment and a Service for each of them, and says in its status what became of it.
///
/// The cluster is found as kubectl finds it (KUBECONFIG, then ~/.kube/config), or by the service account of the pod that
/// the operator runs in. It needs to read and write Deployments and Services, to read ActorApps and pods, to write the
/// status of ActorApps, and to create events. The Helm chart grants exactly that.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  perigee-operator                                            all namespaces
  perigee-operator --watch-namespace shop --watch-namespace bank
  perigee-operator crd | kubectl apply --server-side -f -     install the CRD

Environment:
  RUST_LOG    what is logged, such as info (the default) or perigee_operator=debug,kube=info"
)]
pub struct Args {
    /// Namespace to work in; may be repeated [default: all]
    #[arg(long, value_name = "NAMESPACE")]
    pub watch_namespace: Vec<String>,

    /// Address of /healthz, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    pub admin_address: SocketAddr,

    /// Form of the log, on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What to do instead of running
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// What to do instead of running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Print the CustomResourceDefinition of ActorApp as YAML
    Crd,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn namespaces_add_up() {
        let args = Args::parse_from(["perigee-operator", "--watch-namespace", "a", "--watch-namespace", "b"]);
        assert_eq!((args.watch_namespace, args.command), (vec!["a".to_owned(), "b".to_owned()], None));
    }
}
