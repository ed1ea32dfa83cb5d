//! Which machine this is, for the audit log.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// The machine's name; `unknown` where it has none.
pub fn host_name() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kernel.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() || name.contains(char::is_control) { "unknown".to_owned() } else { name.to_owned() }
}

/// Who runs this process: the user's number, which the system vouches for, and whom the environment says it is, which it
/// does not.
pub fn operator() -> String {
    let number = fs::metadata("/proc/self").map(|own| format!("uid {}", own.uid()));
    let number = number.unwrap_or_else(|_| "uid unknown".to_owned());
    let said = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let is_name = |name: &String| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._@".contains(&byte);
        (1..=64).contains(&name.len()) && name.bytes().all(allowed)
    };
    match said.filter(is_name) {
        Some(name) => format!("{name} ({number})"),
        None => number,
    }
}
