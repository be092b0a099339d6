//! Running the nodes and the gateway as child processes, and starting again what ends.
//!
//! 1. Each child is this same program, in a process group of its own, so that Ctrl-C in a terminal reaches the
//!    supervisor alone. Its standard input is a pipe that is never written: when the supervisor dies, in whatever way,
//!    the pipe closes and the child stops. So nobody is left behind.
//! 2. What a child logs goes to a file. A gateway prints `ready` on standard output when it answers.
//! 3. A child that ends is started again after a wait that doubles up to [`BACKOFF_MAX`], and shrinks again when the
//!    child has run for [`SETTLED`]. Each end and each start is an [`Event`].
//! 4. A node whose directory was deleted does not notice: the kernel keeps its open files for it, nameless. So the
//!    supervisor looks, ends it, and starts it again; it comes back as one that has lost everything, which it has.
//! 5. To stop, the pipe is closed; a child that has not ended after [`STOP_PATIENCE`] is killed.

use crate::{failure::Failure, files};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A child that ran this long was not failing to start.
const SETTLED: Duration = Duration::from_secs(20);
/// How long a child may take to stop when asked to.
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// A log longer than this is set aside when its process is started, in place of the one set aside before.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// How often it is looked whether a child's files are still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What a child prints when it does its work.
pub(crate) const READY: &str = "ready";

/// A process to keep running.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    /// What it is called.
    pub name: String,
    /// Arguments of this program.
    pub arguments: Vec<OsString>,
    /// Where it logs.
    pub log: PathBuf,
    /// Whether it prints [`READY`] on standard output; otherwise what it prints there is logged.
    pub tells_ready: bool,
    /// A file that the process makes when it starts. When it goes away, the process's directory was deleted.
    pub token: Option<PathBuf>,
}

/// What happened to a child.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// It runs, under this process id.
    Started { name: String, pid: u32 },
    /// It does its work.
    Ready { name: String },
    /// It ended without being asked to, and is started again after a wait.
    Ended { name: String, reason: String, restart_ms: u64 },
    /// It cannot be started; tried again after a wait.
    NotStarted { name: String, reason: String, restart_ms: u64 },
}

/// What a child's task is told.
enum Order {
    /// Kill it and do not start it again before [`Order::Release`].
    Hold(tokio::sync::oneshot::Sender<()>),
    Release,
    Stop,
}

/// The running children.
pub(crate) struct Supervisor {
    tasks: Vec<(mpsc::UnboundedSender<Order>, JoinHandle<()>)>,
    names: Vec<String>,
}

impl Supervisor {
    /// Starts the processes; what happens to them comes out of the receiver.
    pub(crate) fn start(processes: Vec<Process>) -> Result<(Self, mpsc::UnboundedReceiver<Event>), Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::file("find", Path::new("the program's own file"), &error))?;
        let (events, received) = mpsc::unbounded_channel();
        let names = processes.iter().map(|process| process.name.clone()).collect();
        let mut tasks = Vec::new();
        for process in processes {
            if let Some(directory) = process.log.parent() {
                files::make_directory(directory)?;
            }
            let (orders, receiver) = mpsc::unbounded_channel();
            let keeper =
                Keeper { program: program.clone(), process, events: events.clone(), orders: receiver };
            tasks.push((orders, tokio::spawn(keeper.run())));
        }
        Ok((Self { tasks, names }, received))
    }

    fn order(&self, name: &str, order: Order) {
        let index = self.names.iter().position(|known| known == name).expect("a name that was started");
        // A task that ended has nothing left to be told.
        let _ = self.tasks[index].0.send(order);
    }

    /// Kills a child (SIGKILL) and keeps it down. Returns when it is gone.
    pub(crate) async fn kill_and_hold(&self, name: &str) {
        let (gone, wait) = tokio::sync::oneshot::channel();
        self.order(name, Order::Hold(gone));
        let _ = wait.await;
    }

    /// Starts again a child that was held.
    pub(crate) fn release(&self, name: &str) {
        self.order(name, Order::Release);
    }

    /// Stops all children: asks, waits, kills.
    pub(crate) async fn stop(self) {
        for (orders, _) in &self.tasks {
            let _ = orders.send(Order::Stop);
        }
        for (_, task) in self.tasks {
            let _ = task.await;
        }
    }
}

/// Keeps one process running.
struct Keeper {
    program: PathBuf,
    process: Process,
    events: mpsc::UnboundedSender<Event>,
    orders: mpsc::UnboundedReceiver<Order>,
}

/// Why a wait was over.
enum Next {
    Start,
    Stop,
}

impl Keeper {
    async fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let started = Instant::now();
            let reason = match self.spawn() {
                Ok(running) => match self.attend(running).await {
                    Ended::Stopped => return,
                    Ended::Held => {
                        if matches!(self.held().await, Next::Stop) {
                            return;
                        }
                        continue;
                    }
                    Ended::Itself(status) => Ok(self.reason(status)),
                    Ended::Deleted => Ok("its directory was deleted".to_owned()),
                },
                Err(error) => Err(error.to_string()),
            };
            backoff = if started.elapsed() >= SETTLED { BACKOFF_MIN } else { backoff };
            self.tell_end(reason, backoff);
            if matches!(self.wait(backoff).await, Next::Stop) {
                return;
            }
            backoff = (2 * backoff).min(BACKOFF_MAX);
        }
    }

    fn spawn(&self) -> io::Result<Running> {
        let log = open_log(&self.process.log)?;
        let printed = if self.process.tells_ready { Stdio::piped() } else { log.try_clone()?.into() };
        let mut child = Command::new(&self.program)
            .args(&self.process.arguments)
            .stdin(Stdio::piped())
            .stdout(printed)
            .stderr(Stdio::from(log))
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take().expect("piped above");
        let printed = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        if let Some(pid) = child.id() {
            self.tell(Event::Started { name: self.process.name.clone(), pid });
        }
        Ok(Running { child, stdin, printed })
    }

    /// Watches a running child until it ends.
    async fn attend(&mut self, mut running: Running) -> Ended {
        let mut token = Token::new(self.process.token.clone(), LOOK_EVERY);
        loop {
            tokio::select! {
                () = token.deleted() => {
                    let _ = running.child.kill().await;
                    return Ended::Deleted;
                }
                status = running.child.wait() => return Ended::Itself(status),
                line = next_line(&mut running.printed) => match line {
                    Some(line) if line == READY => {
                        self.tell(Event::Ready { name: self.process.name.clone() });
                    }
                    Some(_) => {}
                    None => running.printed = None,
                },
                order = self.orders.recv() => match order {
                    Some(Order::Hold(gone)) => {
                        let _ = running.child.kill().await;
                        let _ = gone.send(());
                        return Ended::Held;
                    }
                    Some(Order::Release) => {}
                    Some(Order::Stop) | None => {
                        running.stop().await;
                        return Ended::Stopped;
                    }
                },
            }
        }
    }

    async fn held(&mut self) -> Next {
        loop {
            match self.orders.recv().await {
                Some(Order::Release) => return Next::Start,
                Some(Order::Hold(gone)) => drop(gone.send(())),
                Some(Order::Stop) | None => return Next::Stop,
            }
        }
    }

    /// Waits before a start.
    async fn wait(&mut self, backoff: Duration) -> Next {
        tokio::select! {
            () = sleep(backoff) => Next::Start,
            order = self.orders.recv() => match order {
                Some(Order::Hold(gone)) => {
                    let _ = gone.send(());
                    self.held().await
                }
                Some(Order::Release) => Next::Start,
                Some(Order::Stop) | None => Next::Stop,
            },
        }
    }

    /// Why it ended, as far as its log tells.
    fn reason(&self, status: io::Result<ExitStatus>) -> String {
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        match last_line(&self.process.log) {
            Some(line) => format!("{status}; its last words: {line}"),
            None => status,
        }
    }

    fn tell_end(&self, reason: Result<String, String>, backoff: Duration) {
        let (name, restart_ms) = (self.process.name.clone(), backoff.as_millis() as u64);
        self.tell(match reason {
            Ok(reason) => Event::Ended { name, reason, restart_ms },
            Err(reason) => Event::NotStarted { name, reason, restart_ms },
        });
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more when the program stops.
        let _ = self.events.send(event);
    }
}

/// How a child's run ended.
enum Ended {
    Itself(io::Result<ExitStatus>),
    Deleted,
    Held,
    Stopped,
}

struct Running {
    child: Child,
    stdin: ChildStdin,
    printed: Option<Lines<BufReader<ChildStdout>>>,
}

/// Watches for the end of a file.
struct Token {
    path: Option<PathBuf>,
    every: Duration,
    seen: bool,
    missed: u8,
}

impl Token {
    fn new(path: Option<PathBuf>, every: Duration) -> Self {
        Self { path, every, seen: false, missed: 0 }
    }

    /// Ready when the file was there and, twice in a row, is not. May be dropped and called again.
    async fn deleted(&mut self) {
        let Some(path) = &self.path else { return std::future::pending().await };
        while self.missed < 2 {
            sleep(self.every).await;
            let there = path.exists();
            self.seen |= there;
            self.missed = if self.seen && !there { self.missed + 1 } else { 0 };
        }
    }
}

/// The next line that a child prints; none when it prints no more; never, when it does not print.
async fn next_line(printed: &mut Option<Lines<BufReader<ChildStdout>>>) -> Option<String> {
    match printed {
        Some(lines) => lines.next_line().await.ok().flatten(),
        None => std::future::pending().await,
    }
}

impl Running {
    async fn stop(mut self) {
        drop(self.stdin);
        if timeout(STOP_PATIENCE, self.child.wait()).await.is_err() {
            // It is killed when this fails, too: the handle kills what it drops.
            let _ = self.child.kill().await;
        }
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// The last line of a log that says something, shortened.
fn last_line(path: &Path) -> Option<String> {
    const TAIL: u64 = 4096;
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    // A hint belongs to the error before it; a note about backtraces tells nothing.
    let told = lines.find(|line| !line.starts_with("note:") && !line.starts_with("hint:"))?;
    Some(told.chars().take(300).collect())
}

/// Ready when the supervisor of this process is gone, or asks it to stop: when standard input ends.
pub(crate) async fn supervisor_gone() {
    let (gone, wait) = tokio::sync::oneshot::channel();
    // A thread of its own: a read from a pipe cannot be taken back, and must not keep the runtime from ending.
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut buffer = [0; 64];
        while matches!(stdin.read(&mut buffer), Ok(1..)) {}
        let _ = gone.send(());
    });
    let _ = wait.await;
}

/// Ready when this process should stop. Supervised, signals are not for it: they reach its supervisor.
pub(crate) async fn shutdown(supervised: bool) {
    if supervised {
        supervisor_gone().await;
    } else {
        crate::gateway::stop_asked().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_told() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("log");
        fs::write(&path, "one\nerror: the disk is full\nhint: make room\n\n").unwrap();
        assert_eq!(last_line(&path).unwrap(), "error: the disk is full");
        fs::write(&path, "").unwrap();
        assert_eq!(last_line(&path), None);
        fs::write(&path, [b'x'; 10_000]).unwrap();
        assert_eq!(last_line(&path).unwrap().len(), 300);
    }

    #[tokio::test]
    async fn a_token_that_goes_away_is_missed_and_one_that_never_came_is_not() {
        let base = tempfile::tempdir().unwrap();
        let (path, every) = (base.path().join("lock"), Duration::from_millis(1));
        let mut token = Token::new(Some(path.clone()), every);
        assert!(timeout(50 * every, token.deleted()).await.is_err());
        fs::write(&path, "").unwrap();
        assert!(timeout(50 * every, token.deleted()).await.is_err());
        fs::remove_file(&path).unwrap();
        token.deleted().await;
    }

    #[test]
    fn long_logs_are_set_aside() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("node-0.log");
        let file = File::create(&path).unwrap();
        file.set_len(LOG_BYTES_MAX + 1).unwrap();
        open_log(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        assert!(base.path().join("node-0.log.1").exists());
    }
}
