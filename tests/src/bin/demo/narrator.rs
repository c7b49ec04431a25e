//! Tells the story: numbered steps, sentences, and facts in a column. Plain where nobody looks at colours.

use std::fmt::Display;
use std::io::{IsTerminal as _, Stdout, Write as _, stdout};

use anyhow::Context as _;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

pub(crate) struct Narrator {
    out: Stdout,
    coloured: bool,
    step: u8,
}

impl Narrator {
    /// `no_color`: whether the user asked for none (<https://no-color.org>).
    pub(crate) fn new(no_color: bool) -> Self {
        Self { out: stdout(), coloured: !no_color && stdout().is_terminal(), step: 0 }
    }

    pub(crate) fn title(&self, title: &str) {
        self.line(&self.styled(BOLD, title));
    }

    /// Announces a step and plays it; an error says in which step it happened.
    pub(crate) fn step<T>(&mut self, title: &str, play: impl FnOnce(&Self) -> anyhow::Result<T>) -> anyhow::Result<T> {
        self.step += 1;
        let number = self.step;
        self.line(&format!("\n{}", self.styled(BOLD, &format!("{number}. {title}"))));
        play(self).with_context(|| format!("\nstep {number} ({title}) failed"))
    }

    pub(crate) fn say(&self, sentence: &str) {
        self.line(&format!("   {sentence}"));
    }

    pub(crate) fn fact(&self, name: &str, value: impl Display) {
        self.line(&format!("     {} {value}", self.styled(DIM, &format!("{name:<14}"))));
    }

    fn styled(&self, style: &str, text: &str) -> String {
        if self.coloured { format!("{style}{text}{PLAIN}") } else { text.to_owned() }
    }

    /// Whoever stops reading (`| head`) has seen enough; the demo itself goes on.
    fn line(&self, text: &str) {
        drop(writeln!(&self.out, "{text}"));
    }
}
