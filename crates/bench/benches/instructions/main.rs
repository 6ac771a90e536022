//! Instructions of the hot path, compared with `instructions.toml`: counts drift with neither the machine nor its load,
//! so they can fail a build where seconds cannot.
//!
//! `cargo bench -p hobnob-bench --bench instructions` counts and compares; with `-- --update` what was counted becomes
//! the baseline. Each scene is run twice under valgrind, with few and with more repetitions of the same step; the
//! difference is what the steps cost, without the setting up.

mod scene;
mod server;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, bail, ensure};
use scene::{SCENES, Scene};
use serde::{Deserialize, Serialize};

/// How much more than the baseline is too much.
const MORE_MAX: f64 = 0.10;

/// `instructions.toml`.
#[derive(Default, Deserialize, Serialize)]
struct Baseline {
    /// Which compiler made the program that was counted.
    rustc: String,
    /// Instructions of one step, by scene.
    instructions: BTreeMap<String, u64>,
}

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<_> = env::args().skip(1).collect();
    if let [flag, name, steps] = &*args
        && flag == "--scene"
    {
        let scene = SCENES.iter().find(|scene| scene.name == name).context("there is no such scene")?;
        scene.run(steps.parse()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("SKIPPED: valgrind is not installed");
        return Ok(ExitCode::SUCCESS);
    }
    let counted = count_all()?;
    if args.iter().any(|arg| arg == "--update") {
        let baseline = Baseline { rustc: rustc(), instructions: counted };
        fs::write(path(), format!("{HEAD}{}", toml::to_string(&baseline)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    compare(&toml::from_str(&fs::read_to_string(path())?)?, &counted)
}

const HEAD: &str = "# Instructions of one step of each scene in benches/instructions, in a release build. Written by\n\
                    # cargo bench -p hobnob-bench --bench instructions -- --update\n";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.toml")
}

fn rustc() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn count_all() -> anyhow::Result<BTreeMap<String, u64>> {
    let mut counted = BTreeMap::new();
    for scene in SCENES {
        let (few, more) = (scene.steps, scene.steps * 5);
        let difference = count(scene, more)?.saturating_sub(count(scene, few)?);
        counted.insert(scene.name.to_owned(), difference / (more - few));
    }
    Ok(counted)
}

fn count(scene: &Scene, steps: u64) -> anyhow::Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    command.arg(env::current_exe()?).args(["--scene", scene.name, &steps.to_string()]);
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed:\n{text}", scene.name);
    refs(&text).with_context(|| format!("valgrind does not say how many:\n{text}"))
}

/// `==42== I   refs:      1,234`.
fn refs(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains(" I ") && line.contains("refs:"))?;
    line.rsplit_once(':')?.1.trim().replace(',', "").parse().ok()
}

fn compare(baseline: &Baseline, counted: &BTreeMap<String, u64>) -> anyhow::Result<ExitCode> {
    let mut too_many = false;
    for (name, &count) in counted {
        let Some(&before) = baseline.instructions.get(name) else {
            bail!("{name} is not in {}: --update", path().display());
        };
        let change = count as f64 / before as f64 - 1.0;
        too_many |= change > MORE_MAX;
        let verdict = match change {
            _ if change > MORE_MAX => "TOO MANY",
            _ if change < -MORE_MAX => "fewer: --update keeps it so",
            _ => "",
        };
        println!("{name:<16} {count:>12} of {before:>12}  {:+.1} % {verdict}", change * 100.0);
    }
    if too_many && rustc() != baseline.rustc {
        println!("the baseline was counted with {}, this is {}", baseline.rustc, rustc());
    }
    Ok(if too_many { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
