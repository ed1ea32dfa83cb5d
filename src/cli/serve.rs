//! `signet serve`, and `signet` alone.

use std::io::IsTerminal;

use super::{Context, Failure};
use crate::app::{Application, Parts, banner};
use crate::telemetry;

pub(super) async fn serve(context: &Context) -> Result<(), Failure> {
    let loaded = context.settings()?;
    let _log = telemetry::install(&loaded.settings.telemetry, std::io::stderr().is_terminal())?;
    let application = Application::build(&loaded.settings, Parts::default()).await?;
    if std::io::stdout().is_terminal() {
        context.output.text(&banner(&application))?;
    }
    Ok(application.run_until_stopped().await?)
}
