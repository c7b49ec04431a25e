//! JSON strings, escaped so that a body always stays on one line: mssql-jdbc and the legacy Java
//! `MSICredentials` read the first line of a response and nothing else.
//!
//! Not a JSON library: it writes string contents, and the callers write the structure.

use std::fmt::Write;

/// Appends `value`, escaped but without the surrounding quotes.
pub(crate) fn push_escaped(out: &mut String, value: &str) {
    for character in value.chars() {
        push_char(out, character);
    }
}

/// Appends as much of `value` as fits `limit` bytes once escaped, never part of a character or of
/// an escape sequence.
pub(crate) fn push_clipped(out: &mut String, value: &str, limit: usize) {
    let end = out.len().saturating_add(limit);
    for character in value.chars() {
        let before = out.len();
        push_char(out, character);
        if out.len() > end {
            out.truncate(before);
            return;
        }
    }
}

/// Whether some reader takes `character` for the end of a line or for nothing printable.
pub(crate) fn is_control(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

fn push_char(out: &mut String, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        // Every such character lies in the basic plane: four digits always suffice.
        c if is_control(c) => push_display(out, format_args!("\\u{:04x}", u32::from(c))),
        c => out.push(c),
    }
}

/// Appends anything printable.
pub(crate) fn push_display(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a `String` cannot fail.
    let _ = write!(out, "{value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(value: &str) -> String {
        let mut out = String::new();
        push_escaped(&mut out, value);
        out
    }

    fn clipped(value: &str, limit: usize) -> String {
        let mut out = String::new();
        push_clipped(&mut out, value, limit);
        out
    }

    #[test]
    fn every_character_survives_a_round_trip_on_one_line() {
        for character in '\0'..=char::MAX {
            let literal = format!("\"{}\"", escaped(&character.to_string()));
            let back: String = serde_json::from_str(&literal).unwrap();
            assert_eq!(back, character.to_string());
            assert!(!literal.contains(is_control), "{literal:?}");
        }
    }

    #[test]
    fn slash_and_plain_text_are_left_alone() {
        assert_eq!(escaped("https://vault.azure.net/é"), "https://vault.azure.net/é");
    }

    #[test]
    fn quotes_backslashes_and_line_breaks_are_escaped() {
        assert_eq!(escaped("a\"b\\c\nd\u{2028}"), r#"a\"b\\c\u000ad\u2028"#);
    }

    #[test]
    fn clipping_cuts_neither_a_character_nor_an_escape_sequence() {
        assert_eq!(clipped("aé", 2), "a");
        assert_eq!(clipped("aé", 3), "aé");
        assert_eq!(clipped("a\"b", 2), "a");
        assert_eq!(clipped("a\n", 6), "a");
        assert_eq!(clipped("a\n", 7), r"a\u000a");
    }
}
