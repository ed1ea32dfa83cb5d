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
    line("Admin", application.admin_url());
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
        format_args!("grep -oE '(c|scs)_[A-Za-z0-9_-]{{20,}}' {} | paste -sd:", for_shell(&credentials.to_string())),
    );
    if application.first_secret_in_use() {
        text.push_str(
            "  That secret is from the first start. Roll it before others rely on this issuer:\n\n    \
             signet clients roll-secret --admin --end-old --write-credentials\n\n",
        );
    }
    text
}

/// `word` as a POSIX shell takes it for one word: as it is where it can be, or in single quotes.
fn for_shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if word.chars().all(plain) && !word.is_empty() && !word.starts_with('-') {
        return word.to_owned();
    }
    // An option of grep is not meant, whatever the path begins with.
    let prefix = if word.starts_with('-') { "./" } else { "" };
    format!("'{prefix}{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::process::Command;

    use super::for_shell;

    #[test]
    fn a_plain_path_is_shown_as_it_is() {
        for path in ["data/credentials.json", "/var/lib/signet-1/a_b.json", "./x"] {
            assert_eq!(for_shell(path), path);
        }
    }

    #[test]
    fn a_path_reaches_the_command_whole_whatever_it_holds() {
        for path in
            ["my data/c.json", "it's", "'", "$(id)", "`id`", "a\\b", "a\"b", "a;b&c|d", "*", "~/x", "#", "", "ö"]
        {
            let printed =
                Command::new("sh").args(["-c", &format!("printf '<%s>' {}", for_shell(path))]).output().unwrap();
            assert_eq!(String::from_utf8(printed.stdout).unwrap(), format!("<{path}>"));
        }
        assert_eq!(for_shell("-r/c.json"), "'./-r/c.json'");
    }
}
