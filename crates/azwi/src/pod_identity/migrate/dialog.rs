//! Questions and answers.

use std::io::{self, BufRead, Write};

/// Somebody who is asked.
pub(super) struct Dialog<'w, I, O> {
    pub(super) input: I,
    pub(super) out: &'w mut O,
    /// To everything, without being asked.
    pub(super) says_yes: bool,
}

impl<I: BufRead, O: Write> Dialog<'_, I, O> {
    /// Only `y` and `yes` are one; nobody there is a no.
    pub(super) fn ask(&mut self, question: &str) -> io::Result<bool> {
        if self.says_yes {
            return Ok(true);
        }
        write!(self.out, "{question} [y/N] ")?;
        self.out.flush()?;
        let mut answer = String::new();
        if self.input.read_line(&mut answer)? == 0 {
            writeln!(self.out)?;
        }
        Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(input: &str) -> bool {
        Dialog { input: input.as_bytes(), out: &mut Vec::new(), says_yes: false }.ask("Really?").unwrap()
    }

    #[test]
    fn only_a_yes_is_one() {
        assert!(["y\n", "Y\n", "yes\n", "YES"].into_iter().all(answer));
        assert!(!["", "\n", "n\n", "yeah\n", "no\ny\n"].into_iter().any(answer));
    }
}
