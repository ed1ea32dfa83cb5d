//! The command line: one file a group of verbs.
//!
//! Guarantees: a verb either does all it says or exits with a code above 0 and one sentence on standard error; what it
//! prints on standard output is its result and nothing else, as JSON with `--json`; a secret is printed only by the
//! verb that makes it.

mod acting;
mod audit;
mod backup;
mod clients;
mod completions;
mod config;
mod credentials_file;
mod failure;
mod fetch;
mod health;
mod input;
mod installation;
mod keys;
mod output;
mod people;
mod progress;
mod registry;
mod remote;
mod reseal;
mod resources;
mod serve;
mod sessions;
mod setup;
mod span;
mod system_error;
mod token;
mod users;
mod why;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::{self, Parts};
use crate::audit::By;
use crate::config::{Faults, Loaded, Settings};

use failure::{EXIT_CODES, Failure};
use installation::{Installation, quiet_log};
use output::Output;

const EXAMPLES: &str = "\
Examples:
  signet                                       serve, and set up what is missing on this machine
  signet config show                           every setting, and where it comes from
  signet resources create https://orders.example --scope 'orders:read orders:write'
  signet clients create --name Shop --access 'https://orders.example=orders:read'
  signet token get | signet token inspect -";

/// An issuer of signed tokens that any service can verify without calling back.
///
/// Without a verb, Signet serves. On a fresh machine that makes everything it needs: a database in `data/`, signing
/// keys, and a first admin client.
#[derive(Parser)]
#[command(name = "signet", version, after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"), max_term_width = 100)]
struct Arguments {
    /// Read settings from this file instead of `signet.toml` in the working directory.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print results and errors as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve tokens, keys and metadata (what happens without a verb, too).
    #[command(after_help = serve::HELP)]
    Serve,
    /// Set up a database once: schema, keys and a first admin client.
    #[command(after_help = setup::INIT_HELP)]
    Init(setup::InitArguments),
    /// Bring the database to this program's schema.
    #[command(after_help = setup::MIGRATE_HELP)]
    Migrate,
    /// Check the settings, or show each with its source.
    #[command(subcommand)]
    Config(config::Verb),
    /// See, make, import, rotate and revoke signing keys, and replace the master key over them.
    #[command(subcommand)]
    Keys(keys::Verb),
    /// Register and manage clients: who asks for tokens.
    #[command(subcommand)]
    Clients(clients::Verb),
    /// Register and manage resources: the services that tokens are for.
    #[command(subcommand)]
    Resources(resources::Verb),
    /// Make and look after people's accounts.
    #[command(subcommand)]
    Users(users::Verb),
    /// See who is signed in, and end sessions.
    #[command(subcommand)]
    Sessions(sessions::Verb),
    /// Read the audit log, and verify that nobody changed it.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Get, read and verify tokens.
    #[command(subcommand)]
    Token(token::Verb),
    /// Ask a running server whether it is ready.
    #[command(after_help = health::HELP)]
    Health(health::Arguments),
    /// Copy the SQLite database, also while it is in use.
    Backup(backup::Arguments),
    /// Print completions for a shell.
    Completions(completions::Arguments),
}

/// What every verb works with.
struct Context {
    config: Option<PathBuf>,
    output: Output,
    parts: Parts,
}

impl Context {
    /// As whom this command line acts: past the API, with the stores in its hands.
    fn by(&self) -> By {
        By::operator(app::operator(), app::host_name())
    }

    fn settings(&self) -> Result<Loaded, Faults> {
        Settings::load(self.config.as_deref(), std::env::vars_os(), Path::new(""))
    }
}

/// Runs the command line `arguments`, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output and are no error. When even printing fails, nobody reads it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::new(arguments.json);
    let context = Context { config: arguments.config, output, parts: Parts::default() };
    match perform(&context, arguments.verb.unwrap_or(Verb::Serve)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            context.output.complain(&failure);
            ExitCode::from(failure.exit() as u8)
        }
    }
}

fn perform(context: &Context, verb: Verb) -> Result<(), Failure> {
    // Requests to other servers and TLS to Postgres need it; installing it twice is no harm.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    app::block_on(async {
        match verb {
            Verb::Serve => serve::serve(context).await,
            Verb::Init(arguments) => setup::init(context, &arguments).await,
            Verb::Migrate => setup::migrate(context).await,
            Verb::Config(verb) => config::run(context, &verb),
            Verb::Keys(verb) => keys::run(context, verb).await,
            Verb::Clients(verb) => clients::run(context, verb).await,
            Verb::Resources(verb) => resources::run(context, verb).await,
            Verb::Users(verb) => users::run(context, verb).await,
            Verb::Sessions(verb) => sessions::run(context, verb).await,
            Verb::Audit(verb) => audit::run(context, verb).await,
            Verb::Token(verb) => token::run(context, verb).await,
            Verb::Health(arguments) => health::run(context, &arguments).await,
            Verb::Backup(arguments) => backup::run(context, &arguments).await,
            Verb::Completions(arguments) => completions::run(context, &arguments),
        }
    })
}
