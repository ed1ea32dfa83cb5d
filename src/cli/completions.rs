//! `signet completions SHELL`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Context, Failure};

#[derive(Args)]
#[command(after_help = "\
Examples:
  signet completions bash > ~/.local/share/bash-completion/completions/signet
  signet completions zsh > ~/.zfunc/_signet
  signet completions fish > ~/.config/fish/completions/signet.fish")]
pub(super) struct Arguments {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "signet", &mut script);
    Ok(context.output.text(&String::from_utf8_lossy(&script))?)
}
