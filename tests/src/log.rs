//! What a process writes to stderr, line by line, for those who wait for a line.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// Longer than any line may take to appear; only its absence meets it.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct Lines {
    seen: Vec<String>,
    ended: bool,
}

/// Collects lines in the background until the stream ends.
#[derive(Debug, Clone)]
pub struct Log(Arc<(Mutex<Lines>, Condvar)>);

impl Log {
    /// Follows `stream` to its end.
    pub fn follow(stream: impl Read + Send + 'static) -> Self {
        let shared = Self(Arc::default());
        let log = shared.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                log.change(|lines| lines.seen.push(line));
            }
            log.change(|lines| lines.ended = true);
        });
        shared
    }

    /// Waits for a line whose JSON has `fields` (name, value); `None` if the process ends or half a minute passes first.
    pub fn wait_for(&self, fields: &[(&str, &str)]) -> Option<Value> {
        let (lines, changed) = &*self.0;
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |lines: &mut Lines| !lines.ended && find(&lines.seen, fields).is_none();
        let (lines, _) = changed.wait_timeout_while(lines, PATIENCE, missing).unwrap_or_else(PoisonError::into_inner);
        find(&lines.seen, fields)
    }

    /// How many lines there are so far whose JSON has `fields`.
    pub fn count(&self, fields: &[(&str, &str)]) -> usize {
        let lines = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        matching(&lines.seen, fields).count()
    }

    /// Everything, once the process has ended.
    pub fn whole(&self) -> String {
        let (lines, changed) = &*self.0;
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let result = changed.wait_timeout_while(lines, PATIENCE, |lines| !lines.ended);
        result.unwrap_or_else(PoisonError::into_inner).0.seen.join("\n")
    }

    fn change(&self, change: impl FnOnce(&mut Lines)) {
        let (lines, changed) = &*self.0;
        change(&mut lines.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_all();
    }
}

/// The last line of those.
fn find(lines: &[String], fields: &[(&str, &str)]) -> Option<Value> {
    matching(lines, fields).next()
}

/// The last one first.
fn matching(lines: &[String], fields: &[(&str, &str)]) -> impl Iterator<Item = Value> {
    let matches =
        |line: &Value| fields.iter().all(|(name, value)| line.get(name).is_some_and(|found| says(found, value)));
    lines.iter().rev().filter_map(|line| serde_json::from_str(line).ok()).filter(matches)
}

fn says(found: &Value, value: &str) -> bool {
    match found {
        Value::String(found) => found == value,
        found => serde_json::from_str::<Value>(value).is_ok_and(|value| *found == value),
    }
}
