//! The table at the end: each group, its result, its time, and why.

use std::time::Duration;

use crate::group::Group;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// What failed.
    Failed(String),
    /// What the machine lacks.
    Skipped(String),
}

pub(crate) struct Row {
    pub(crate) group: Group,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

/// One line for each row.
pub(crate) fn table(rows: &[Row]) -> String {
    let head = format!("{:<11}{:<9}{:>8}\n", "group", "result", "time");
    rows.iter().map(line).fold(head, |table, line| table + &line + "\n")
}

fn line(Row { group, outcome, took }: &Row) -> String {
    let (result, why) = match outcome {
        Outcome::Passed => ("passed", ""),
        Outcome::Failed(why) => ("FAILED", why.as_str()),
        Outcome::Skipped(why) => ("skipped", why.as_str()),
    };
    let line = format!("{:<11}{result:<9}{:>6.1} s  {why}", group.name(), took.as_secs_f64());
    line.trim_end().to_owned()
}

/// The last line, where something was skipped and may not be: the table alone would look good enough.
pub(crate) fn verdict(rows: &[Row], may_skip: bool) -> String {
    let skipped = rows.iter().filter(|row| matches!(row.outcome, Outcome::Skipped(_)));
    let names: Vec<&str> = skipped.map(|row| row.group.name()).collect();
    if may_skip || names.is_empty() {
        return String::new();
    }
    format!("skipped: {}; with CI=true that is a failure\n", names.join(", "))
}

/// Whether the run counts as good. A machine that is meant to run everything may not skip.
pub(crate) fn is_good(rows: &[Row], may_skip: bool) -> bool {
    rows.iter().all(|row| match row.outcome {
        Outcome::Passed => true,
        Outcome::Failed(_) => false,
        Outcome::Skipped(_) => may_skip,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(group: Group, outcome: Outcome) -> Row {
        Row { group, outcome, took: Duration::from_millis(1234) }
    }

    #[test]
    fn the_table_says_why_a_group_was_skipped() {
        let rows = [row(Group::Unit, Outcome::Passed), row(Group::Iptables, Outcome::Skipped("no iptables".into()))];
        assert_eq!(
            table(&rows),
            "group      result       time\nunit       passed      1.2 s\niptables   skipped     1.2 s  no iptables\n"
        );
    }

    #[test]
    fn a_skipped_group_is_good_enough_except_where_all_must_run() {
        let rows = [row(Group::Unit, Outcome::Passed), row(Group::Uids, Outcome::Skipped(String::new()))];
        assert!(is_good(&rows, true));
        assert!(!is_good(&rows, false));
    }

    #[test]
    fn the_last_line_says_so_where_a_skipped_group_is_a_failure() {
        let rows = [row(Group::Unit, Outcome::Passed), row(Group::Uids, Outcome::Skipped("no uids".into()))];
        assert_eq!(verdict(&rows, false), "skipped: uids; with CI=true that is a failure\n");
        assert_eq!(verdict(&rows, true), "");
    }

    #[test]
    fn a_failed_group_is_never_good() {
        assert!(!is_good(&[row(Group::Unit, Outcome::Failed(String::new()))], true));
    }
}
