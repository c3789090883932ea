//! The program: puts the other crates together, and speaks with people.
//!
//! Here live the command line (one file a command), the data directory, the configuration file, and the composition of store,
//! control plane and data plane into one process ([`server`]).
//!
//! What must not live here: decisions. Who is trusted is `trust`'s, what settings mean is `model`'s, what AWS answers is `control`'s.

mod acme;
mod answer;
mod audit;
mod ca;
mod client;
mod clients;
mod collector;
mod config;
mod console;
mod data_dir;
mod demo;
mod doctor;
mod env;
mod explain;
mod fetch;
mod gateway;
mod inherited;
mod issuers;
mod logs;
mod nodes;
mod pem;
mod policy;
mod revocation;
mod server;
mod sinks;
mod store_copy;
mod systemd;
mod takeover;
mod truststore;
mod up;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use answer::Outcome;

/// AWS API Gateway's mutual TLS on your own machines.
#[derive(Parser)]
#[command(name = "countersign", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway and the AWS APIs until told to stop
    Up(up::Args),
    /// Show the guide from its first step to its last, on a throw-away data directory
    Demo(demo::Args),
    /// Verify records, and prove them
    Audit(audit::Args),
    /// List the clients that were seen, those first that were seen last
    Clients(clients::Args),
    /// Print records: who connected, and what was set, allowed and refused
    Logs(logs::Args),
    /// Print a URL that opens the console, once, within a minute
    Console(console::Args),
    /// List the nodes that enforce the settings, and which revision of them
    Nodes(nodes::Args),
    /// Say why a request was refused, and what to do
    Explain(explain::Args),
    /// Say what is wrong with an endpoint that asks for client certificates, the true cause first
    Doctor(doctor::Args),
    /// Print shell commands that point the aws CLI at the running server: eval "$(countersign env)"
    Env(env::Args),
    /// Judge a client certificate against a truststore, both in files
    Verify(verify::Args),
    /// Work with the stores that settings are kept in
    Store(store_copy::Args),
    /// Work with truststore files
    Truststore(truststore::Args),
    /// Check Cedar policies, and print the schema that they are held against
    Policy(policy::Args),
    /// A small certificate authority: issue, revoke, list what is revoked
    Ca(ca::Args),
    /// Print the version
    Version,
}

fn main() -> ExitCode {
    // Help and version are good answers; clap's exit code for bad usage is our "could not run".
    answer::exit_code(run(Cli::parse().command))
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Up(args) => up::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Console(args) => console::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Env(args) => env::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Clients(args) => clients::run(&args),
        Command::Ca(args) => ca::run(&args),
        Command::Logs(args) => logs::run(&args),
        Command::Nodes(args) => nodes::run(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Store(args) => store_copy::run(&args),
        Command::Truststore(args) => truststore::run(&args),
        Command::Version => {
            answer::print(concat!("countersign ", env!("CARGO_PKG_VERSION")));
            Ok(answer::Answer::Yes)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
