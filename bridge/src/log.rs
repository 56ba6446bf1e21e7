//! What iroh and its parts log, kept in a bounded queue until the caller's own log takes it.

use std::{
    collections::VecDeque,
    fmt::{self, Write},
    sync::{Condvar, Mutex, OnceLock},
    time::Duration,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Registry,
    layer::{Context, Layer, SubscriberExt},
    reload,
};

use crate::error::{Code, Failure};

const CAPACITY: usize = 1024;
/// Longer lines lose their end.
const MAX_LINE: usize = 1000;

/// One event: "target: message field=value ...".
pub struct Line {
    pub level: u32,
    pub text: String,
}

#[derive(Default)]
struct Lines {
    waiting: VecDeque<Line>,
    lost: u64,
    /// How often takers were woken for nothing.
    woken: u64,
}

static LINES: Mutex<Lines> = Mutex::new(Lines { waiting: VecDeque::new(), lost: 0, woken: 0 });
static MORE: Condvar = Condvar::new();
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

pub fn start(directives: &str) -> Result<(), Failure> {
    let filter = EnvFilter::builder()
        .parse(directives)
        .map_err(|error| Failure::invalid(format!("log filter '{directives}': {error}")))?;
    if let Some(running) = FILTER.get() {
        return running.reload(filter).map_err(|error| Failure::new(Code::Internal, error.to_string()));
    }
    let (filter, handle) = reload::Layer::new(filter);
    tracing::subscriber::set_global_default(Registry::default().with(filter).with(Forward))
        .map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    let _ = FILTER.set(handle);
    Ok(())
}

/// The line that waits longest; waits for one at most `patience`.
pub fn take(patience: Duration) -> Option<Line> {
    let lines = LINES.lock().expect("log lock");
    let woken = lines.woken;
    let nothing = |lines: &mut Lines| lines.waiting.is_empty() && lines.woken == woken;
    MORE.wait_timeout_while(lines, patience, nothing).expect("log lock").0.waiting.pop_front()
}

/// Whoever waits in `take` comes back.
pub fn wake() {
    LINES.lock().expect("log lock").woken += 1;
    MORE.notify_all();
}

pub fn lost() -> u64 {
    LINES.lock().expect("log lock").lost
}

fn keep(lines: &mut Lines, line: Line) {
    if lines.waiting.len() == CAPACITY {
        lines.waiting.pop_front();
        lines.lost += 1;
    }
    lines.waiting.push_back(line);
}

/// Called on iroh's threads, with its locks held perhaps: only ever takes the queue's.
struct Forward;

impl<S: Subscriber> Layer<S> for Forward {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::TRACE => 0,
            Level::DEBUG => 1,
            Level::INFO => 2,
            Level::WARN => 3,
            Level::ERROR => 4,
        };
        let mut words = Words(format!("{}:", metadata.target()));
        event.record(&mut words);
        keep(&mut LINES.lock().expect("log lock"), Line { level, text: words.0 });
        MORE.notify_one();
    }
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.0.len() >= MAX_LINE {
            return;
        }
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        if self.0.len() > MAX_LINE {
            let end = (0..=MAX_LINE).rev().find(|&at| self.0.is_char_boundary(at)).unwrap_or(0);
            self.0.truncate(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_are_lost_and_counted() {
        let mut lines = Lines::default();
        for number in 0..CAPACITY + 3 {
            keep(&mut lines, Line { level: 2, text: number.to_string() });
        }
        assert_eq!(lines.waiting.len(), CAPACITY);
        assert_eq!(lines.waiting.front().expect("full").text, "3");
        assert_eq!(lines.lost, 3);
    }

    #[test]
    fn what_the_filter_lets_through_is_kept_with_its_fields() {
        start("warn,here=info").expect("a filter");
        tracing::info!(target: "here", count = 7, name = "x", "something happened");
        tracing::info!(target: "elsewhere", "too quiet");
        tracing::error!(target: "elsewhere", long = "é".repeat(MAX_LINE), "loud");
        let first = take(Duration::ZERO).expect("a line");
        assert_eq!((first.level, first.text.as_str()), (2, "here: something happened count=7 name=\"x\""));
        let second = take(Duration::ZERO).expect("another");
        assert_eq!(second.level, 4);
        assert!(second.text.starts_with("elsewhere: loud long=\"é") && second.text.len() <= MAX_LINE, "{}", second.text);
        assert!(take(Duration::from_millis(1)).is_none());
        start("off").expect("another filter");
        tracing::error!(target: "here", "unheard");
        assert!(take(Duration::ZERO).is_none());
        assert!(start("here=loud").is_err());
    }
}
