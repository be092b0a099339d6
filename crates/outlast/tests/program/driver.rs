//! Starting the program and asking it things.

use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// How long a network may take to start, and a process to end, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The program, without settings of the caller's shell.
pub(crate) fn outlast() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outlast"));
    command.env_remove("OUTLAST_DIR").env_remove("RUST_LOG");
    command
}

/// Runs a command on the network in `directory` to its end.
pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Output {
    outlast()
        .arg("--dir")
        .arg(directory)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

/// Runs a command that must succeed; gives the lines that it prints.
pub(crate) fn ask(directory: &Path, arguments: &[&str]) -> Vec<Value> {
    let done = run(directory, &[arguments, &["--json"]].concat());
    assert!(done.status.success(), "{arguments:?}: {done:?}");
    let lines = String::from_utf8(done.stdout).expect("JSON is UTF-8");
    lines.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

/// Runs a command that must fail with this exit code; gives what it says.
pub(crate) fn refused(directory: &Path, arguments: &[&str], exit: i32) -> String {
    let done = run(directory, arguments);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(exit), "{arguments:?}: {said}");
    assert!(said.starts_with("error: "), "{said}");
    said
}

/// A process of the program that prints lines; it ends with the value.
pub(crate) struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts it, with a pipe for standard input.
    pub(crate) fn start(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = piped.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("piped above");
        Self { child, lines: BufReader::new(stdout).lines() }
    }

    /// `outlast up` on a directory, with S3 at a free port; and its first line.
    pub(crate) fn up(directory: &Path, arguments: &[&str]) -> (Self, Value) {
        let mut command = outlast();
        command.arg("up").arg("--dir").arg(directory).args(["--json", "--supervised"]).args(arguments);
        let mut running = Self::start(&mut command);
        let first = running.event(|_| true);
        (running, first)
    }

    /// The next line.
    pub(crate) fn line(&mut self) -> String {
        self.lines.next().expect("it goes on").expect("it prints UTF-8")
    }

    /// The next line that is the JSON object looked for.
    pub(crate) fn event(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = serde_json::from_str(&self.line()).expect("a JSON object a line");
            if wanted(&event) {
                return event;
            }
        }
    }

    /// Asks it to stop, as the end of its supervisor does; it must end well.
    pub(crate) fn stop(mut self) {
        drop(self.child.stdin.take());
        let since = Instant::now();
        loop {
            match self.child.try_wait().expect("it is our child") {
                Some(status) => return assert!(status.success(), "{status}"),
                None if since.elapsed() > PATIENCE => panic!("it does not stop"),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// kill -9 of a process that is not our own child.
pub(crate) fn kill(pid: &Value) {
    let pid = pid.as_u64().expect("a process id").to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().expect("there is `kill`").success());
}

/// Ports of this machine that nobody listens on, below those of outgoing connections.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let listen = || TcpListener::bind(("127.0.0.1", rand::random_range(4_096..10_240))).ok();
    let held: Vec<_> = std::iter::repeat_with(listen).flatten().take(count).collect();
    held.iter().map(|held| held.local_addr().expect("it listens").port()).collect()
}

/// Bytes that look like nothing in particular, the same for the same seed.
pub(crate) fn contents(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}
