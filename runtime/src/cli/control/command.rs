//! The commands, as `kubectl exec POD -- …` and `perigee …` take them.

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

/// Exit code for a command that does not exist: that of a shell.
const NOT_FOUND: u8 = 127;
/// Exit code for a command that is not written correctly.
const USAGE: u8 = 2;

/// Look at the actors of a running app, and end one.
#[derive(Parser)]
#[command(
    name = "perigee",
    no_binary_name = true,
    disable_help_subcommand = true,
    max_term_width = 110,
    after_help = "\
Examples:
  kubectl exec POD -- ps                 the actors of a pod; `-c CONTAINER` where it has several containers
  kubectl exec -it POD -- top            the same, busiest first, again each second; q ends it
  perigee inspect 7 --app shop           one actor of an app that `perigee run` runs on this machine
Each command has a --help of its own."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Ps(Ps),
    Top(Top),
    Tree(Tree),
    Inspect(Inspect),
    Kill(Kill),
    Healthy(Healthy),
}

/// List the actors
///
/// ID and CLASS; NAME: the first of its names, and how many more there are; STATE: new (held back by its spawner), running,
/// ready (its time slice is over), receiving (waits for a message), waiting (for time, I/O, or room in a mailbox), ending;
/// MSGS and MAILBOX: messages in its mailbox and their bytes; MEMORY: what counts for its limits.memory; CPU: how long it
/// ran, by samples of a millisecond; RESTARTS: of an actor that the app declares; LINKS: actors that it is linked to;
/// SPAWNER: who spawned it. A declared actor that waits for its restart is listed without an id.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Ps {
    #[command(flatten)]
    pub(super) output: Output,
}

/// List the actors, busiest first: again and again in a terminal, else once
///
/// CPU% is the share of one processor since the last look. In a terminal, q or Ctrl-C ends it.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Top {
    /// Seconds between two looks
    #[arg(short = 'd', long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=60))]
    pub(super) delay: u16,
    #[command(flatten)]
    pub(super) output: Output,
}

/// List the actors by who spawned them
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Tree {
    #[command(flatten)]
    pub(super) output: Output,
}

/// Show all that is known of one actor
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Inspect {
    /// Its id, as `ps` lists it
    #[arg(value_name = "ID")]
    pub(super) id: u64,
    #[command(flatten)]
    pub(super) output: Output,
}

/// Kill one actor
///
/// Its links die with it or hear of it. One that the app declares is restarted as its class says.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Kill {
    /// Its id, as `ps` lists it
    #[arg(value_name = "ID")]
    pub(super) id: u64,
}

/// Exit with 0 when all is well, else with 1: for exec probes
///
/// All is well when the runtime answers, the app is not stopping, and every actor that it declares runs, or has ended for
/// good. One that waits for its restart is not well.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Healthy {}

#[derive(Debug, clap::Args)]
pub(super) struct Output {
    /// Form of the output
    #[arg(short = 'o', long = "output", value_name = "FORM", value_enum, default_value_t = Form::Text)]
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
}

impl Output {
    pub(super) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    fn args(&self) -> Vec<String> {
        if self.is_json() { vec!["--output=json".to_owned()] } else { Vec::new() }
    }
}

impl Command {
    /// What [`parse`] makes it of.
    pub(super) fn args(&self) -> Vec<String> {
        let (words, more) = match self {
            Self::Ps(ps) => (vec!["ps".to_owned()], ps.output.args()),
            Self::Top(top) => (vec!["top".to_owned(), format!("--delay={}", top.delay)], top.output.args()),
            Self::Tree(tree) => (vec!["tree".to_owned()], tree.output.args()),
            Self::Inspect(inspect) => (vec!["inspect".to_owned(), inspect.id.to_string()], inspect.output.args()),
            Self::Kill(kill) => (vec!["kill".to_owned(), kill.id.to_string()], Vec::new()),
            Self::Healthy(_) => (vec!["healthy".to_owned()], Vec::new()),
        };
        words.into_iter().chain(more).collect()
    }
}

/// What is said instead of running a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) text: String,
    /// 0: it was asked for.
    pub(super) code: u8,
}

/// Understands a command; one that is written as on a laptop, with `perigee` in front, too.
pub(super) fn parse(args: &[String]) -> Result<Command, Refusal> {
    let args = match args.split_first() {
        Some((first, rest)) if first.rsplit('/').next() == Some("perigee") => rest,
        _ => args,
    };
    if let Some(first) = args.first().filter(|first| !first.starts_with('-') && !exists(first)) {
        return Err(Refusal { text: no_program(first), code: NOT_FOUND });
    }
    let parsed = CommandLine::try_parse_from(args).map_err(|error| {
        let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        Refusal { text: error.render().to_string(), code: if asked { 0 } else { USAGE } }
    });
    Ok(parsed?.command)
}

fn exists(name: &str) -> bool {
    CommandLine::command().get_subcommands().any(|command| command.get_name() == name)
}

fn no_program(name: &str) -> String {
    let commands: Vec<_> = CommandLine::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let name: String = name.chars().take(64).flat_map(char::escape_debug).collect();
    format!(
        "perigee: there is no program {name} here: this container runs WebAssembly actors, and no shell\n\
         perigee: the commands are {}; --help says what they do\n",
        commands.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, Refusal> {
        parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_command_is_what_its_arguments_say() {
        for line in ["ps", "top --delay=2", "tree --output=json", "inspect 7", "kill 18446744073709551615", "healthy"] {
            assert_eq!(parsed(line).unwrap().args().join(" "), line);
        }
        assert_eq!(parsed("/.perigee/perigee ps -o json").unwrap().args(), ["ps", "--output=json"]);
        assert_eq!(parsed("perigee top").unwrap().args(), ["top", "--delay=1"]);
    }

    #[test]
    fn what_is_no_command_is_answered_with_the_commands() {
        for line in ["sh", "bash -c ls", "/bin/cat", "perigee nothing"] {
            let refusal = parsed(line).unwrap_err();
            assert_eq!(refusal.code, 127, "{line}");
            assert!(refusal.text.contains("ps, top, tree, inspect, kill, healthy"), "{}", refusal.text);
        }
        assert!(parsed("\u{1b}[2J").unwrap_err().text.contains(r"\u{1b}[2J"), "no terminal is played with");
    }

    #[test]
    fn help_teaches_and_a_mistake_is_named() {
        for (line, expected) in [("--help", "kubectl exec POD -- ps"), ("ps --help", "receiving"), ("top --help", "--delay")] {
            let help = parsed(line).unwrap_err();
            assert_eq!(help.code, 0);
            assert!(help.text.contains(expected), "{}", help.text);
        }
        for line in ["inspect", "inspect seven", "kill -1", "ps more", "ps -o yaml", "top -d 0", "--what"] {
            let refusal = parsed(line).unwrap_err();
            assert_eq!(refusal.code, 2, "{line}: {}", refusal.text);
        }
    }
}
