//! Printing that keeps nobody waiting.
//!
//! Whoever reads standard output may stop reading: a terminal after Ctrl-S, a pager, a program that hangs. A write then
//! blocks, and with it would block the thread that keeps processes running. So a thread of its own prints, and what it
//! cannot take is counted instead.

use crate::{
    failure::{Exit, Failure},
    output,
};
use std::{
    io::Write as _,
    sync::mpsc::{SyncSender, TrySendError, sync_channel},
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// Lines that wait to be printed.
const WAITING_MAX: usize = 1024;
/// How long the last lines may take.
const FINISH_PATIENCE: Duration = Duration::from_secs(1);

/// A line and where it goes.
enum Line {
    Output(String),
    Error(String),
}

/// Prints lines in their order.
pub(crate) struct Printer {
    lines: SyncSender<Line>,
    ended: oneshot::Receiver<Result<(), Failure>>,
    /// Lines that were not taken since one was.
    missed: u64,
}

impl Printer {
    pub(crate) fn start() -> Self {
        Self::over(|line| match line {
            Line::Output(text) => output::line(&text),
            Line::Error(text) => {
                // Nobody can be told that this failed.
                let _ = writeln!(std::io::stderr(), "{text}");
                Ok(())
            }
        })
    }

    fn over(mut print: impl FnMut(Line) -> Result<(), Failure> + Send + 'static) -> Self {
        let (lines, waiting) = sync_channel(WAITING_MAX);
        let (end, ended) = oneshot::channel();
        std::thread::spawn(move || {
            let _ = end.send(waiting.into_iter().try_for_each(&mut print));
        });
        Self { lines, ended, missed: 0 }
    }

    /// Prints on standard output.
    pub(crate) fn output(&mut self, text: String) {
        self.print(Line::Output(text));
    }

    /// Prints on standard error.
    pub(crate) fn error(&mut self, text: String) {
        self.print(Line::Error(text));
    }

    fn print(&mut self, line: Line) {
        if self.missed > 0 {
            let note = format!("note: {} lines are left out here: nobody was reading", self.missed);
            if let Err(TrySendError::Full(_)) = self.lines.try_send(Line::Error(note)) {
                // No line goes before the note of those that it comes after.
                self.missed += 1;
                return;
            }
            self.missed = 0;
        }
        // A thread that has ended says why in `failed`.
        if let Err(TrySendError::Full(_)) = self.lines.try_send(line) {
            self.missed += 1;
        }
    }

    /// Ready when printing has failed. Not to be called again then.
    pub(crate) async fn failed(&mut self) -> Failure {
        match (&mut self.ended).await {
            Ok(Err(failure)) => failure,
            _ => Failure::new(Exit::Failed, "what happens cannot be printed any more"),
        }
    }

    /// Prints what still waits, if somebody reads it.
    pub(crate) async fn finish(self) {
        drop(self.lines);
        let _ = timeout(FINISH_PATIENCE, self.ended).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn a_reader_that_stops_reading_stops_nobody() {
        let (read, reader) = mpsc::sync_channel(0);
        let (begin, begun) = mpsc::channel();
        let mut printer = Printer::over(move |line| {
            let (Line::Output(text) | Line::Error(text)) = line;
            let _ = begin.send(());
            read.send(text).map_err(|_| Failure::new(Exit::Failed, "nobody reads any more"))
        });
        printer.output("0".into());
        begun.recv().expect("the first line is being printed");
        for number in 1..3000 {
            printer.output(number.to_string());
        }
        let missed = printer.missed;
        assert_eq!(missed, 3000 - 1 - WAITING_MAX as u64);
        for number in 0..3000 - missed {
            assert_eq!(reader.recv().unwrap(), number.to_string());
        }
        printer.output("again".into());
        assert_eq!(
            reader.recv().unwrap(),
            format!("note: {missed} lines are left out here: nobody was reading")
        );
        assert_eq!(reader.recv().unwrap(), "again");
        drop(reader);
        printer.output("in vain".into());
        assert_eq!(printer.failed().await.message, "nobody reads any more");
    }

    #[tokio::test]
    async fn what_waits_is_printed_at_the_end() {
        let (read, reader) = mpsc::channel();
        let mut printer = Printer::over(move |line| {
            let (Line::Output(text) | Line::Error(text)) = line;
            read.send(text).expect("the test reads");
            Ok(())
        });
        printer.output("output".into());
        printer.error("error".into());
        printer.finish().await;
        assert_eq!(reader.into_iter().collect::<Vec<_>>(), ["output", "error"]);
    }
}
