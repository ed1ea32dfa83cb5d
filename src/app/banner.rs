//! What a person sees when Signet starts in a terminal.

use std::fmt::Write;

use super::Application;

/// A few lines: who this is, where the keys are, and how to get a first token.
pub fn banner(application: &Application) -> String {
    let issuer = application.issuer();
    let mut text = format!("\n  Signet {}\n\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {name:<13}{value}");
    };
    line("Issuer", issuer.as_str());
    line("JWKS", &issuer.jwks_uri());
    line("Admin", &format!("http://{}", application.admin_address()));
    let Some(credentials) = application.credentials() else {
        text.push('\n');
        return text;
    };
    let credentials = credentials.display();
    line("Credentials", &credentials.to_string());
    let _ = write!(
        text,
        "\n  A first token:\n\n    curl -s {} -d grant_type=client_credentials \\\n      -u \"$({})\"\n\n",
        issuer.token_endpoint(),
        format_args!("grep -oE '(c|scs)_[A-Za-z0-9_-]{{20,}}' {credentials} | paste -sd:"),
    );
    if application.first_secret_in_use() {
        text.push_str(
            "  That secret is from the first start. Roll it before others rely on this issuer:\n\n    \
             signet clients roll-secret --admin --end-old --write-credentials\n\n",
        );
    }
    text
}
