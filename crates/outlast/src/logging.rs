//! Logs: one line an event, on standard error.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How a line of a log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: a JSON object a line.
    Json,
}

/// What nodes and gateways log. The engine is terse; the S3 dispatcher would log every 404, and signatures it expected.
pub(crate) const SERVING: &str = "info,commonware=warn,s3s=off";
/// What other commands log.
pub(crate) const ASKING: &str = "error,s3s=off";

/// Starts logging. `RUST_LOG` chooses what is logged; without it, `default` does.
pub(crate) fn start(format: LogFormat, default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => logs.json().init(),
    }
}
