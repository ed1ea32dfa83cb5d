//! What the operating system says, in words that fit a sentence.

use std::io;

/// An error of the system in words, without its number.
pub(super) fn reason(error: &io::Error) -> String {
    let text = without_number(&error.to_string());
    let mut signs = text.chars();
    signs.next().map(|first| first.to_lowercase().chain(signs).collect()).unwrap_or_default()
}

/// A sentence that ends in an error of the system, without the error's number.
pub(super) fn without_number(text: &str) -> String {
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_is_a_part_of_a_sentence() {
        assert_eq!(reason(&io::Error::from_raw_os_error(2)), "no such file or directory");
    }
}
