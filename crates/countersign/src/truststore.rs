//! `countersign truststore`: truststore files.

use crate::answer::Outcome;

mod lint;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say what is wrong with a truststore; answers no when a certificate in it cannot be used
    Lint(lint::Args),
}

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Lint(args) => lint::run(args),
    }
}
