//! Every workload with tiny numbers, against a real server.

use std::process::Command;

#[test]
fn every_workload_runs() {
    let Some(server) = std::env::var_os("HOBNOB_BIN") else {
        eprintln!("SKIPPED: HOBNOB_BIN does not name the server's program");
        return;
    };
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
