//! How something has ended that should have gone on: a task of the agent, or a thread of the kernel's.

use std::any::Any;
use std::fmt;

/// A task, or a thread, that has ended before its time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("task {task} {ending}")]
pub struct Failed {
    /// Its name.
    pub task: String,
    /// How it has ended.
    pub ending: Ending,
}

/// How it has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// As if its work were done.
    Ended,
    /// With this message.
    Panicked(String),
}

impl Ending {
    /// Of a panic's payload: `panic!` makes a text of its arguments; others may throw anything.
    pub fn of_panic(payload: &(dyn Any + Send)) -> Self {
        let borrowed = payload.downcast_ref::<&str>().copied();
        let text = borrowed.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self::Panicked(text.unwrap_or("it gave no message").to_owned())
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("has ended"),
            Self::Panicked(message) => write!(f, "has panicked: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_task_and_the_panics_message() {
        let failed = |payload: Box<dyn Any + Send>| {
            Failed { task: "announcer".to_owned(), ending: Ending::of_panic(&*payload) }.to_string()
        };
        assert_eq!(failed(Box::new("index 7")), "task announcer has panicked: index 7");
        assert_eq!(failed(Box::new("index 7".to_owned())), "task announcer has panicked: index 7");
        assert_eq!(failed(Box::new(7)), "task announcer has panicked: it gave no message");
        let ended = Failed { task: "announcer".to_owned(), ending: Ending::Ended };
        assert_eq!(ended.to_string(), "task announcer has ended");
    }
}
