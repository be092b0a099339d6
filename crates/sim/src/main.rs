//! `sim`: plays seeds and says what it found.

use clap::Parser;
use sim::run::{Report, Totals, play_seed};
use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use trial::{
    adversary::Adversary,
    plan::{Kind, Wishes},
};

/// Plays whole networks from seeds: production nodes and gateways in a simulated world, with faults and adversaries up to
/// exactly what Outlast promises to survive. A seed that fails is a bug report: it fails again, in the same way, whenever
/// it is played.
#[derive(Parser)]
#[command(name = "sim", version, after_help = EXAMPLES)]
struct Cli {
    /// Play this seed and print what happened.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "minutes"])]
    seed: Option<u64>,
    /// Play so many seeds, over all cores, and print a line for each that fails.
    #[arg(long, value_name = "COUNT")]
    seeds: Option<u64>,
    /// Go on for so long.
    #[arg(long, value_name = "MINUTES", conflicts_with = "seeds")]
    minutes: Option<u64>,
    /// The first seed of many.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    from: u64,
    /// Print every operation of every client, too.
    #[arg(long)]
    trace: bool,
    /// Play each seed twice and compare all that happened.
    #[arg(long)]
    twice: bool,
    /// Only plans of this many nodes: 4, 7 or 10.
    #[arg(long, value_name = "N")]
    nodes: Option<usize>,
    /// Only plans of this kind.
    #[arg(long, value_enum)]
    kind: Option<KindArgument>,
    /// No faults and no adversaries.
    #[arg(long)]
    calm: bool,
    /// Node faults of this name only, e.g. `wipe` or "power loss".
    #[arg(long, value_name = "NAME")]
    fault: Option<String>,
    /// More than f nodes lost for good in the end of every run.
    #[arg(long)]
    disaster: bool,
    /// This adversary in every run: equivocator, liar, hoarder, forger, censor, flooder, laggard,
    /// perjurer.
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Adversary>)]
    adversary: Option<Adversary>,
    /// How many seeds to play at a time [default: one a core].
    #[arg(long, value_name = "COUNT")]
    jobs: Option<usize>,
    /// Stop at the first seed that fails.
    #[arg(long)]
    first: bool,
    /// Totals as one JSON object.
    #[arg(long)]
    json: bool,
    /// Change the code in known wrong ways and see whether runs fail. Compiles a copy of the sources.
    #[arg(long)]
    mutants: bool,
    /// Only mutants whose name contains this.
    #[arg(long, value_name = "NAME", requires = "mutants")]
    only: Option<String>,
}

const EXAMPLES: &str = "Examples:
  cargo run -p sim --release -- --seed 42 --trace     one run, with its history
  cargo run -p sim --release -- --seeds 1000          a thousand runs
  cargo run -p sim --release -- --minutes 60 --from 100000
  cargo run -p sim --release -- --seeds 50 --adversary forger
  cargo run -p sim --release -- --mutants             does the simulation catch what it should?

Logs of the nodes: RUST_LOG=warn (or info, or chain=debug) with --seed.";

#[derive(Clone, Copy, clap::ValueEnum)]
enum KindArgument {
    /// At most f nodes are faulty at a time.
    Within,
    /// All machines lose power at once.
    Blackout,
    /// Up to 2f disks are lost at once.
    Beyond,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.mutants {
        return sim::mutants::run(cli.only.as_deref(), cli.jobs);
    }
    let wishes = Wishes {
        n: cli.nodes,
        kind: cli.kind.map(|kind| match kind {
            KindArgument::Within => Kind::Within,
            KindArgument::Blackout => Kind::Blackout,
            KindArgument::Beyond => Kind::Beyond,
        }),
        calm: cli.calm,
        adversary: cli.adversary,
        fault: cli.fault.clone(),
        disaster: cli.disaster,
    };
    if let Some(seed) = cli.seed {
        return one(&cli, seed, &wishes);
    }
    many(&cli, &wishes)
}

fn one(cli: &Cli, seed: u64, wishes: &Wishes) -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let report = play_seed(seed, wishes);
    print!("{}", report.story(cli.trace));
    let again = cli.twice.then(|| play_seed(seed, wishes));
    if again.is_some_and(|again| again.digest != report.digest) {
        println!("NOT DETERMINISTIC: a second run went otherwise");
        return ExitCode::FAILURE;
    }
    verdict(report.violations.is_empty())
}

fn many(cli: &Cli, wishes: &Wishes) -> ExitCode {
    // Nodes on failing disks panic, as they should; whatever nothing explains is in the verdict.
    std::panic::set_hook(Box::new(|_| {}));
    let begun = Instant::now();
    let jobs = cli.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
    let next = AtomicU64::new(cli.from);
    let failed = AtomicBool::new(false);
    let totals = Mutex::new(Totals::default());
    let is_over = |seed: u64| match (cli.seeds, cli.minutes) {
        (_, Some(minutes)) => begun.elapsed() >= Duration::from_secs(60 * minutes),
        (seeds, None) => seed >= cli.from + seeds.unwrap_or(100),
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if is_over(seed) || (cli.first && failed.load(Ordering::Relaxed)) {
                        return;
                    }
                    let mut report = play_seed(seed, wishes);
                    if cli.twice && play_seed(seed, wishes).digest != report.digest {
                        report.violations.push("determinism: a second run went otherwise".into());
                    }
                    say(&report, &failed);
                    totals.lock().expect("nobody panics with it").add(&report);
                }
            });
        }
    });
    let totals = totals.into_inner().expect("nobody panics with it");
    let wall = begun.elapsed();
    let cpu = cpu_time();
    println!("{}", if cli.json { totals.json(wall, cpu) } else { totals.table(wall, cpu) });
    verdict(!failed.into_inner())
}

/// Time that processors spent on this process, where the system tells.
fn cpu_time() -> Option<Duration> {
    /// What Linux counts in, for every architecture that it tells users of.
    const TICK_MS: u64 = 10;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may have spaces in it. The third field follows it; the two are the 14th and 15th.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * TICK_MS))
}

fn say(report: &Report, failed: &AtomicBool) {
    if let Some(first) = report.violations.first() {
        failed.store(true, Ordering::Relaxed);
        println!("seed {} FAILED: {} violations, first: {first}", report.seed, report.violations.len());
    }
}

fn verdict(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
