//! The `signet` program: hands the command line over, and nothing else.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    signet::cli::run(std::env::args_os())
}
