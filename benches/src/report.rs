//! The table: each figure, what it is compared with, its limit, and whether it keeps it.

use std::fmt::{self, Display, Formatter};

use serde_json::{Value, json};

const HEAD: [&str; 6] = ["figure", "measured", "compared with", "result", "limit", ""];

/// A number and its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quantity {
    number: f64,
    unit: &'static str,
}

impl Quantity {
    pub(crate) fn new(number: f64, unit: &'static str) -> Self {
        Self { number, unit }
    }

    pub(crate) fn times(ratio: f64) -> Self {
        Self::new(ratio, "×")
    }

    /// Three digits tell more than these figures can promise; a count is whole.
    fn decimals(self) -> usize {
        match self.number.abs() {
            _ if self.unit.is_empty() => 0,
            number if number >= 100.0 => 0,
            number if number >= 10.0 => 1,
            _ => 2,
        }
    }
}

impl Display for Quantity {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = format!("{:.*} {}", self.decimals(), self.number, self.unit);
        f.pad(text.trim_end())
    }
}

/// What a figure must keep; in the unit of its result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
    Exactly(f64),
}

impl Limit {
    fn holds(self, number: f64) -> bool {
        match self {
            Self::AtMost(limit) => number <= limit,
            Self::AtLeast(limit) => number >= limit,
            Self::Exactly(limit) => (number - limit).abs() < f64::EPSILON,
        }
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "≤ {limit}"),
            Self::AtLeast(limit) => write!(f, "≥ {limit}"),
            Self::Exactly(limit) => write!(f, "{limit}"),
        }
    }
}

/// What something was measured beside, and what came of it.
#[derive(Debug, Clone, PartialEq)]
struct Comparison {
    with: &'static str,
    quantity: Quantity,
    result: Quantity,
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    figure: String,
    /// `None` where it could not be.
    measured: Option<Quantity>,
    comparison: Option<Comparison>,
    limit: Option<Limit>,
}

impl Row {
    /// Judged by itself, if a limit is added.
    pub(crate) fn new(figure: impl Into<String>, measured: Quantity) -> Self {
        Self::maybe(figure, Some(measured))
    }

    /// What may not have been measured: then no limit of it is kept.
    pub(crate) fn maybe(figure: impl Into<String>, measured: Option<Quantity>) -> Self {
        Self { figure: figure.into(), measured, comparison: None, limit: None }
    }

    /// Judged by `result`, which came of what was measured and of `quantity`.
    pub(crate) fn beside(mut self, with: &'static str, quantity: Quantity, result: Quantity) -> Self {
        self.comparison = Some(Comparison { with, quantity, result });
        self
    }

    pub(crate) fn limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    fn result(&self) -> Option<Quantity> {
        self.comparison.as_ref().map(|comparison| comparison.result).or(self.measured)
    }

    /// `None` without a limit.
    fn passed(&self) -> Option<bool> {
        self.limit.map(|limit| self.result().is_some_and(|result| limit.holds(result.number)))
    }

    fn unit(&self) -> &'static str {
        self.result().map_or("", |result| result.unit)
    }

    fn verdict(&self) -> &'static str {
        match self.passed() {
            _ if self.measured.is_none() => "not measured",
            None => "",
            Some(true) => "ok",
            Some(false) => "MISSED",
        }
    }

    fn cells(&self) -> [String; 6] {
        let comparison = self.comparison.as_ref();
        [
            self.figure.clone(),
            self.measured.map(|measured| measured.to_string()).unwrap_or_default(),
            comparison.map(|c| format!("{} {}", c.with, c.quantity)).unwrap_or_default(),
            comparison.map(|c| c.result.to_string()).unwrap_or_default(),
            self.limit.map(|limit| format!("{limit} {}", self.unit())).unwrap_or_default().trim_end().to_owned(),
            self.verdict().to_owned(),
        ]
    }

    fn json(&self) -> Value {
        let (name, limit) = match self.limit {
            Some(Limit::AtMost(limit)) => ("at_most", Some(limit)),
            Some(Limit::AtLeast(limit)) => ("at_least", Some(limit)),
            Some(Limit::Exactly(limit)) => ("exactly", Some(limit)),
            None => ("limit", None),
        };
        json!({
            "figure": self.figure,
            "measured": self.measured.map(quantity),
            "compared_with": self.comparison.as_ref().map(|c| json!({ "what": c.with, "measured": quantity(c.quantity) })),
            "result": self.result().map(quantity),
            "limit": limit.map(|limit| json!({ name: limit })),
            "passed": self.passed(),
        })
    }
}

fn quantity(quantity: Quantity) -> Value {
    json!({ "number": quantity.number, "unit": quantity.unit })
}

/// How the table is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For a terminal.
    Text,
    /// For docs/performance.md.
    Markdown,
    /// For programs.
    Json,
}

impl Form {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "text" => Some(Self::Text),
            "markdown" => Some(Self::Markdown),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// The table of `rows`, measured on `machine`.
pub(crate) fn render(form: Form, machine: &str, rows: &[Row]) -> String {
    match form {
        Form::Text => format!("{machine}\n\n{}", text(rows)),
        Form::Markdown => format!("{machine}\n\n{}", markdown(rows)),
        Form::Json => {
            let rows: Vec<Value> = rows.iter().map(Row::json).collect();
            format!("{:#}\n", json!({ "machine": machine, "figures": rows }))
        }
    }
}

fn text(rows: &[Row]) -> String {
    let lines: Vec<_> = std::iter::once(HEAD.map(str::to_owned)).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| lines.iter().filter_map(|cells| Some(cells.get(column)?.chars().count())).max();
    let widths: Vec<usize> = (0..HEAD.len()).map(|column| width(column).unwrap_or_default()).collect();
    let pad = |cells: &[String; 6]| {
        let padded = cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(pad).collect()
}

fn markdown(rows: &[Row]) -> String {
    let line = |cells: [String; 6]| format!("| {} |\n", cells.join(" | "));
    let head = line(HEAD.map(str::to_owned)) + &line(HEAD.map(|_| "---".to_owned()));
    rows.iter().fold(head, |table, row| table + &line(row.cells()))
}

/// Whether every limit is kept.
pub(crate) fn all_passed(rows: &[Row]) -> bool {
    rows.iter().all(|row| row.passed() != Some(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let hit = Row::new("a hit", Quantity::new(5.4321, "µs"));
        let start = Row::new("start", Quantity::new(2.5, "ms")).limit(Limit::AtMost(3.0));
        vec![hit.beside("floor", Quantity::new(4.5, "µs"), Quantity::times(1.207)).limit(Limit::AtMost(1.25)), start]
    }

    #[test]
    fn a_comparison_is_judged_by_its_result_and_a_lone_figure_by_itself() {
        assert!(all_passed(&rows()));
        let [hit, start] = rows().try_into().unwrap();
        assert!(!all_passed(&[hit.limit(Limit::AtMost(1.2))]));
        assert!(!all_passed(&[start.limit(Limit::AtLeast(3.0))]));
    }

    #[test]
    fn a_limit_of_what_was_not_measured_is_not_kept() {
        let row = Row::maybe("memory", None).limit(Limit::AtMost(3.0));
        assert_eq!((row.passed(), row.verdict()), (Some(false), "not measured"));
        assert!(!all_passed(&[row]));
    }

    #[test]
    fn a_figure_without_a_limit_is_not_judged() {
        let row = Row::new("hyper", Quantity::new(5.0, "µs"));
        assert_eq!((row.passed(), row.verdict()), (None, ""));
    }

    #[test]
    fn a_count_is_whole_and_a_time_has_three_digits() {
        let shown =
            [(200.0, ""), (1.234, "ms"), (12.34, "ms"), (123.4, "ms")].map(|(n, u)| Quantity::new(n, u).to_string());
        assert_eq!(shown, ["200", "1.23 ms", "12.3 ms", "123 ms"]);
    }

    #[test]
    fn the_table_for_the_documentation_is_markdown() {
        let table = render(Form::Markdown, "a machine", &rows());
        assert!(table.contains("| a hit | 5.43 µs | floor 4.50 µs | 1.21 × | ≤ 1.25 × | ok |\n"), "{table}");
        assert!(table.contains("| start | 2.50 ms |  |  | ≤ 3 ms | ok |\n"), "{table}");
    }

    #[test]
    fn the_json_has_the_numbers_unrounded() {
        let json: Value = serde_json::from_str(&render(Form::Json, "a machine", &rows())).unwrap();
        let hit = &json["figures"][0];
        assert_eq!(hit["measured"]["number"], 5.4321);
        assert_eq!(hit["limit"]["at_most"], 1.25);
        assert_eq!(hit["passed"], true);
    }
}
