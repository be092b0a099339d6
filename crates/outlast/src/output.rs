//! What commands print on standard output: text for people, one JSON object a line for programs.

use crate::failure::{Exit, Failure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::{self, IsTerminal as _, Write as _};

/// How a command speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// JSON lines instead of text.
    pub json: bool,
}

impl Output {
    /// Prints the value as a JSON line, or what `text` makes of it.
    pub(crate) fn show<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        line(&self.render(value, text))
    }

    /// What [`Self::show`] prints.
    pub(crate) fn render<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> String {
        if self.json {
            serde_json::to_string(value).expect("what is printed has text for keys")
        } else {
            text(value)
        }
    }

    /// A progress bar over bytes on standard error; hidden when that is no terminal.
    pub(crate) fn bytes_bar(self, total: Option<u64>, what: &str) -> ProgressBar {
        if self.json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let template = match total {
            Some(_) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            None => "{msg} {spinner} {bytes} {bytes_per_sec}",
        };
        let style =
            ProgressStyle::with_template(template).expect("the template is right").progress_chars("=> ");
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new).with_style(style);
        bar.with_message(what.to_owned())
    }
}

impl Output {
    /// A count of what is done on standard error; hidden when that is no terminal.
    pub(crate) fn count_bar(self, what: &str) -> ProgressBar {
        if self.json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{msg} {spinner} {pos} {per_sec}");
        ProgressBar::new_spinner()
            .with_style(style.expect("the template is right"))
            .with_message(what.to_owned())
    }
}

/// Prints a line on standard output.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write to standard output: {error}")))
}

/// Bytes as people read them.
pub(crate) fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// A time, milliseconds since the Unix epoch, as `2026-11-22T12:31:49Z`.
pub(crate) fn time(time_ms: u64) -> String {
    let seconds = time_ms / 1000;
    let (day, second) = ((seconds / 86_400) as i64, seconds % 86_400);
    let (year, month, date) = civil(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The date of a day counted from 1970-01-01. (Hinnant, "chrono-compatible low-level date algorithms".)
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(time(1_795_350_709_123), "2026-11-22T12:31:49Z");
        assert_eq!(time(4_107_542_399_000), "2100-02-28T23:59:59Z");
    }
}
