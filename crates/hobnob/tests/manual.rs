//! Manual pages and completions, as a packager has them made.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// What a command prints.
fn printed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn hobnob(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    printed(command.env_clear().env("HOME", "/nowhere").args(arguments))
}

/// The commands that `--help` lists.
fn commands(arguments: &[&str]) -> Vec<String> {
    let help = hobnob(&[arguments, &["--help"]].concat());
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = lines.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

/// Whether a program is installed; if not, the test says that it checks less.
fn is_here(program: &str) -> bool {
    let here =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !here {
        println!("skipped: there is no {program}");
    }
    here
}

/// Has a page formatted; groff complains of what it does not understand.
fn check_format(page: &Path) {
    let mut groff = Command::new("groff");
    let output =
        groff.args(["-K", "utf8", "-T", "utf8", "-man", "-ww", "-z"]).arg(page).output().expect("it runs");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{}: {complaints}", page.display());
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("man/man1");
    assert_eq!(hobnob(&["man", "--out", out.to_str().expect("UTF-8")]), "");
    let mut expected = vec!["hobnob.1".to_owned()];
    for command in commands(&[]) {
        expected.push(format!("hobnob-{command}.1"));
        let below = commands(&[&command]);
        expected.extend(below.into_iter().map(|below| format!("hobnob-{command}-{below}.1")));
    }
    expected.sort();
    assert!(
        expected.contains(&"hobnob-serve.1".to_owned())
            && expected.contains(&"hobnob-admin-kick.1".to_owned())
    );
    let mut found: Vec<_> = fs::read_dir(&out)
        .expect("the folder was made")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    found.sort();
    assert_eq!(found, expected);

    let groff = is_here("groff");
    for name in found {
        let page = fs::read_to_string(out.join(&name)).expect("a page");
        for part in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"] {
            assert!(page.contains(part), "{name} has no {part}");
        }
        if groff {
            check_format(&out.join(name));
        }
    }
    let serve = fs::read_to_string(out.join("hobnob-serve.1")).expect("a page");
    assert!(serve.contains("HOBNOB_LISTEN") && serve.contains("SIGTERM"), "{serve}");
    assert_eq!(hobnob(&["man"]), fs::read_to_string(out.join("hobnob.1")).expect("a page"));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut man = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    let output = man.args(["man", "--out"]).arg(file.path()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(file.path().to_str().expect("UTF-8")), "{said}");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = hobnob(&["completions", shell]);
        for word in commands(&[]).iter().map(String::as_str).chain(["trusted-proxy", "unlock"]) {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    if is_here("bash") {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hobnob");
        fs::write(&path, hobnob(&["completions", "bash"])).expect("written");
        let complete = "source \"$1\"; COMP_WORDS=(hobnob adm); COMP_CWORD=1; _hobnob hobnob adm hobnob; echo \"${COMPREPLY[*]}\"";
        let mut bash = Command::new("bash");
        assert_eq!(printed(bash.args(["-c", complete, "bash"]).arg(path)).trim_end(), "admin");
    }
}

#[test]
fn the_example_of_settings_is_what_the_program_prints() {
    let printed =
        hobnob(&["serve", "--listen", "0.0.0.0:4000", "--registration", "invite", "--print-config"]);
    let shipped = include_str!("../../../deploy/hobnob.toml");
    assert_eq!(
        printed, shipped,
        "`hobnob serve` with these flags has to be printed into deploy/hobnob.toml again"
    );
}
