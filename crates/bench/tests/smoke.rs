//! Every workload with tiny numbers, against a real server.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

#[test]
fn every_workload_runs() {
    // Built beside this one wherever the whole workspace is tested.
    let beside = Path::new(env!("CARGO_BIN_EXE_hobnob-bench")).with_file_name("hobnob");
    let server = std::env::var_os("HOBNOB_BIN").map_or(beside, PathBuf::from);
    if !server.exists() {
        eprintln!("SKIPPED: there is no {}, test the whole workspace or say HOBNOB_BIN", server.display());
        return;
    }
    for plain in [None, Some("--plain")] {
        let mut bench = Command::new(env!("CARGO_BIN_EXE_hobnob-bench"));
        bench.arg("--server").arg(&server).args(["--time-limit", "60"]).args(plain);
        let output = bench.args(["all", "--tiny"]).output().unwrap();
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{stderr}");
        assert_eq!(stdout.lines().count(), 2 + 5, "{stdout}");
    }
}
