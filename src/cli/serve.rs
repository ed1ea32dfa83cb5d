//! `signet serve`, and `signet` alone.

use std::io::IsTerminal;

use super::{Context, Failure};
use crate::app::{Application, Parts, banner};
use crate::telemetry;

pub(super) const HELP: &str = "\
Examples:
  signet serve
  SIGNET__ISSUER=https://login.example.com SIGNET__PUBLIC__BIND=0.0.0.0:8080 signet serve

Stops gracefully on SIGTERM and SIGINT: requests in flight may finish (`public.shutdown_grace`).";

pub(super) async fn serve(context: &Context) -> Result<(), Failure> {
    let loaded = context.settings()?;
    let log = telemetry::install(&loaded.settings.telemetry, std::io::stderr().is_terminal())?;
    let parts = Parts { access_log: Some(log.access_log()), log_losses: Some(log.losses()), ..context.parts.clone() };
    let application = Application::build(&loaded.settings, parts).await?;
    if std::io::stdout().is_terminal() {
        context.output.text(&banner(&application))?;
    }
    Ok(application.run_until_stopped().await?)
}
