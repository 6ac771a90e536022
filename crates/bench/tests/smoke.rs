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
    let folder = tempfile::tempdir().unwrap();
    for plain in [None, Some("--plain")] {
        let json = folder.path().join("report.json");
        let mut bench = Command::new(env!("CARGO_BIN_EXE_hobnob-bench"));
        bench.arg("--server").arg(&server).args(["--time-limit", "60"]).args(plain);
        bench.args(["run", "--tiny", "--rounds", "1", "--json"]).arg(&json);
        let output = bench.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        let rows = report["medians"].as_array().unwrap();
        let of = |wanted: &str| rows.iter().filter(|row| row["subject"] == wanted).count();
        // W1 twice, W2, W3, W4, W5 three times, W6 three times, W7, W8 twice; the router in W1 to W4 and once in W5.
        assert_eq!((of("hobnob"), of("router")), (14, 6), "{rows:?}");
        assert_eq!(of("ngircd"), if stderr.contains("SKIPPED: ngircd") { 0 } else { 4 }, "{rows:?}");
        let table = String::from_utf8_lossy(&output.stdout);
        assert_eq!(table.lines().count(), 2 + rows.len(), "{table}");
    }
}
