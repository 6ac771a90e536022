//! Every line that `hobnob backup`, `restore` and `verify` print, and what they exit with.

use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

use hobnob_server::store::sqlite::{
    backup::{BackupError, Summary},
    verify::{Finding, Report},
};
use serde_json::{Value, json};

use super::Failure;
use crate::{
    admin::text::{refusal, time},
    chat::text::one_line,
    oneshot::json::line,
    output,
    progress::size,
};

/// It is done, and all is well.
pub(crate) const DONE: u8 = 0;
/// It was refused, or there is damage.
pub(crate) const REFUSED: u8 = 1;
/// Something cannot be opened or written.
pub(crate) const CANNOT: u8 = 3;

/// A path as it may be shown.
fn shown(path: &Path) -> String {
    one_line(&path.display().to_string()).into_owned()
}

fn count(number: u64, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}

fn content(report: &Report) -> String {
    let (accounts, entries) = (count(report.accounts, "account"), count(report.entries, "message"));
    format!("{accounts}, {entries}, {}", count(report.sessions, "session"))
}

fn key(summary: &Summary) -> String {
    summary.fingerprint.as_deref().map_or_else(
        || "It holds no TLS key; one that is named by --tls is kept elsewhere\n".to_owned(),
        |fingerprint| format!("Key {fingerprint}\n"),
    )
}

/// What `backup` has made.
pub(super) fn backed_up(file: &Path, summary: &Summary, bytes: u64, took: Duration) -> String {
    let (content, size) = (content(&summary.report), size(bytes));
    let seconds = took.as_secs_f64();
    format!("Backed up to {}: {content}, {size} in {seconds:.1} s\n{}", shown(file), key(summary))
}

pub(super) fn backed_up_json(file: &Path, summary: &Summary, bytes: u64) -> String {
    let mut object = of_summary(summary);
    object["file"] = file.display().to_string().into();
    object["bytes"] = bytes.into();
    line(&object)
}

/// What `restore` has done.
pub(crate) fn restored(data: &Path, summary: &Summary) -> String {
    let (content, made) = (content(&summary.report), time(summary.made_ms));
    format!("Restored to {}, as it was on {made}: {content}\n{}", shown(data), key(summary))
}

pub(crate) fn restored_json(data: &Path, summary: &Summary) -> String {
    let mut object = of_summary(summary);
    object["data"] = data.display().to_string().into();
    line(&object)
}

/// What `verify` has found, behind its findings.
pub(crate) fn verified(path: &Path, report: &Report, summary: Option<&Summary>) -> String {
    let (path, content) = (shown(path), content(report));
    let state = match report.findings.len() {
        0 => "whole".to_owned(),
        found => format!("damaged in {}", count(found as u64, "way")),
    };
    let made = summary.map_or_else(String::new, |summary| {
        let (made, program) = (time(summary.made_ms), one_line(&summary.program));
        format!("A backup made on {made} by hobnob {program}\n{}", key(summary))
    });
    format!("{path} is {state}: {content}\n{made}")
}

pub(crate) fn verified_json(path: &Path, report: &Report, summary: Option<&Summary>) -> String {
    let mut object = summary.map_or_else(|| of_report(report), of_summary);
    object["path"] = path.display().to_string().into();
    object["whole"] = report.is_good().into();
    line(&object)
}

fn of_report(report: &Report) -> Value {
    let finding = |found: &Finding| json!({ "check": found.check, "count": found.count, "text": found.text });
    json!({
        "accounts": report.accounts,
        "messages": report.entries,
        "sessions": report.sessions,
        "schema": report.schema,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn of_summary(summary: &Summary) -> Value {
    let mut object = of_report(&summary.report);
    object["made_ms"] = summary.made_ms.into();
    object["program"] = summary.program.clone().into();
    object["fingerprint"] = summary.fingerprint.clone().into();
    object
}

/// Says what is damaged, a line each; a program finds it in the object.
pub(crate) fn tell_findings(json: bool, findings: &[Finding]) {
    if json {
        return;
    }
    for finding in findings {
        // Nothing can be said where nobody listens.
        let _ = writeln!(io::stderr(), "hobnob: damaged: {} ({})", one_line(&finding.text), finding.check);
    }
}

/// Says why not, in words or where a program reads on; the exit code.
pub(crate) fn tell_failure(json: bool, failure: &Failure) -> u8 {
    let why = why(failure);
    let _ = match json {
        true => output::write(&refusal(word(failure), &why, &[])),
        false => writeln!(io::stderr(), "hobnob: {}", one_line(&why)),
    };
    failure.code()
}

fn word(failure: &Failure) -> &'static str {
    match failure {
        Failure::Misuse(_) => "misuse",
        Failure::Exists(_) => "exists",
        Failure::Backup(error) => match error {
            BackupError::NoStore(_) => "no-store",
            BackupError::NotABackup { .. } => "unusable",
            BackupError::Damaged { .. } => "damaged",
            BackupError::Held(_) => "in-use",
            BackupError::NotEmpty { .. } => "not-empty",
            BackupError::Full(_) => "no-room",
            BackupError::File { .. } => "file",
            BackupError::Store(_) => "database",
        },
    }
}

fn why(failure: &Failure) -> String {
    match failure {
        Failure::Misuse(why) => why.clone(),
        Failure::Exists(file) => {
            format!("{} is there already; --replace would overwrite it", file.display())
        }
        Failure::Backup(error @ BackupError::NoStore(_)) => {
            format!("{error}; another folder is named by --data")
        }
        Failure::Backup(error @ BackupError::Held(_)) => {
            format!("{error}: stop it, or name another folder by --data")
        }
        Failure::Backup(error @ BackupError::NotEmpty { .. }) => {
            format!("{error}. Move it away, or name another folder by --data")
        }
        Failure::Backup(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(findings: Vec<Finding>) -> Summary {
        let report = Report { schema: 2, accounts: 1, entries: 20, sessions: 0, findings };
        Summary { report, made_ms: 0, program: "0.1.0".to_owned(), fingerprint: Some("SHA256:x".to_owned()) }
    }

    #[test]
    fn what_was_done() {
        let (good, path) = (summary(Vec::new()), Path::new("/a/\u{1b}b"));
        assert_eq!(
            backed_up(path, &good, 2048, Duration::from_millis(1260)),
            "Backed up to /a/^[b: 1 account, 20 messages, 0 sessions, 2.0 KiB in 1.3 s\nKey SHA256:x\n"
        );
        assert_eq!(
            restored(path, &good),
            "Restored to /a/^[b, as it was on 1970-01-01 00:00:00 UTC: 1 account, 20 messages, 0 sessions\n\
             Key SHA256:x\n"
        );
        assert_eq!(
            verified(path, &good.report, None),
            "/a/^[b is whole: 1 account, 20 messages, 0 sessions\n"
        );
        let finding = Finding { check: "senders", count: 2, text: "2 x".to_owned() };
        let bad = summary(vec![finding]);
        let told = verified(path, &bad.report, Some(&bad));
        assert!(
            told.starts_with("/a/^[b is damaged in 1 way: ") && told.contains("by hobnob 0.1.0\n"),
            "{told}"
        );
        let json: Value = serde_json::from_str(&verified_json(path, &bad.report, None)).expect("JSON");
        assert_eq!((&json["whole"], &json["findings"][0]["check"]), (&false.into(), &"senders".into()));
    }
}
