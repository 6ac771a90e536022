//! A world for scenarios with the real program: a server with a folder of its own, and people who talk over pipes.
//! Nothing sleeps: everything waits for a text or for an end, with a deadline.

#![allow(dead_code, reason = "each scenario file uses its part")]

use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

/// What takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const WELCOME: &str = "Welcome to the greatest messaging application ever!";

/// The program, with nothing of the environment that could change it.
pub(crate) fn hobnob(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    command.env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// A server, and a folder for everybody.
pub(crate) struct World {
    server: Option<Running>,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    address: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// A server with more arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        Self::around(tempfile::tempdir().expect("a folder"), arguments, &[])
    }

    /// A server with arguments that may name files of a folder that is there, and with variables.
    pub(crate) fn around(folder: tempfile::TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables = variables.iter().map(owned).collect();
        let address = "127.0.0.1:0".to_owned();
        let mut world = Self { server: None, folder, arguments, variables, address };
        world.start();
        world
    }

    /// A server whose folder is somewhere else.
    pub(crate) fn linked(server: &Path, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink(server, folder.path().join("server")).expect("a link");
        Self::around(folder, arguments, &[])
    }

    fn serve(&self) -> Running {
        let mut command = hobnob(self.folder.path());
        command.args(["serve", "--listen", &self.address, "--data"]).arg(self.path("server"));
        command.args(&self.arguments).envs(self.variables.clone());
        Running::start(command, self.path("server.log"))
    }

    /// Starts a server that cannot run; its exit code, and what it has said on standard error.
    pub(crate) fn fails_to_start(&self) -> (i32, String) {
        let log = self.path("server.log");
        let before = std::fs::read(&log).map_or(0, |log| log.len());
        let code = self.serve().wait().code().expect("an exit code");
        let said = std::fs::read(&log).expect("a log").split_off(before);
        (code, String::from_utf8_lossy(&said).into_owned())
    }

    /// The server's process.
    pub(crate) fn server_pid(&self) -> u32 {
        self.server.as_ref().expect("the server runs").child.id()
    }

    /// Starts the server, at the same place as before.
    pub(crate) fn start(&mut self) {
        let server = self.serve();
        let ready = server.line_with("hobnob is listening on ");
        let address = ready.strip_prefix("hobnob is listening on ").and_then(|rest| rest.split(',').next());
        address.expect("an address in the ready line").clone_into(&mut self.address);
        self.server = Some(server);
    }

    /// Stops the server as an operator does; it has to drain.
    pub(crate) fn stop(&mut self) {
        let mut server = self.server.take().expect("the server runs");
        server.signal(Signal::TERM);
        assert!(server.wait().success(), "the server drains");
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&self, signal: Signal) {
        self.server.as_ref().expect("the server runs").signal(signal);
    }

    /// Waits until the server has ended by itself; the exit code.
    pub(crate) fn ended(&mut self) -> i32 {
        self.server.take().expect("the server runs").wait().code().expect("an exit code")
    }

    /// Kills the server as a power cut does.
    pub(crate) fn crash(&mut self) {
        drop(self.server.take());
    }

    /// `HOST:PORT` of the server.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A path in the world's own folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command against the server to its end, as somebody at the place `place`.
    pub(crate) fn run(
        &self,
        place: &str,
        arguments: &[&str],
        password: Option<&str>,
        input: &str,
    ) -> (i32, String) {
        let mut command = hobnob(self.folder.path());
        command.args(arguments).args(["--server", self.address(), "--data"]).arg(self.path(place));
        command.envs(password.map(|password| ("HOBNOB_PASSWORD", password)));
        let mut running = Running::start(command, self.path("one-shot.log"));
        running.write(input);
        running.end_input();
        let code = running.wait().code().expect("an exit code");
        (code, running.everything())
    }

    /// A chat that nobody has logged in on. Every chat sits at a place of its own.
    pub(crate) fn chat(&self, place: &str) -> Chat {
        self.chat_with(place, &[])
    }

    /// The same with more arguments.
    pub(crate) fn chat_with(&self, place: &str, arguments: &[&str]) -> Chat {
        let mut command = hobnob(self.folder.path());
        command.args(["chat", self.address(), "--data"]).arg(self.path(place)).args(arguments);
        Chat(Running::start(command, self.path(&format!("{place}.log"))))
    }

    /// A chat in which `name` has just registered, or logged in, with the password `<name>-secret`.
    pub(crate) fn user(&self, name: &str) -> Chat {
        self.user_with(name, &[])
    }

    /// The same with more arguments.
    pub(crate) fn user_with(&self, name: &str, arguments: &[&str]) -> Chat {
        let chat = self.chat_with(name, arguments);
        chat.logs_in(name, &format!("{name}-secret"));
        chat.sees(WELCOME);
        chat
    }
}

/// A chat over pipes.
pub(crate) struct Chat(Running);

impl Chat {
    /// A chat that is started in a way of its own.
    pub(crate) fn start(command: Command, log: PathBuf) -> Self {
        Self(Running::start(command, log))
    }

    /// Types a line.
    pub(crate) fn types(&self, line: &str) {
        self.0.write(&format!("{line}\n"));
    }

    /// Gives a name and a password.
    pub(crate) fn logs_in(&self, name: &str, password: &str) {
        self.0.expect("Username: ");
        self.types(name);
        self.0.expect_any(&["Password: ", "This is a new user. Enter a password: "]);
        self.types(password);
    }

    /// Waits for a prompt.
    pub(crate) fn is_asked(&self, prompt: &str) {
        self.0.expect(prompt);
    }

    /// Waits for a whole line; what comes before it counts as read.
    pub(crate) fn sees(&self, line: &str) {
        self.0.expect(&format!("\n{line}\n"));
    }

    /// Waits for one of these lines.
    pub(crate) fn sees_one_of(&self, lines: &[&str]) {
        let lines: Vec<_> = lines.iter().map(|line| format!("\n{line}\n")).collect();
        self.0.expect_any(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Waits for all of these lines, in whatever order.
    pub(crate) fn sees_all(&self, lines: &[&str]) {
        let lines: Vec<_> = lines.iter().map(|line| format!("\n{line}\n")).collect();
        self.0.expect_all(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Waits for a line that begins so; the whole of it.
    pub(crate) fn finds(&self, beginning: &str) -> String {
        self.0.line_with(&format!("\n{beginning}")).trim_start().to_owned()
    }

    /// What is printed up to the answer to a command typed now: proof of what did not come.
    pub(crate) fn catches_up(&self) -> Vec<String> {
        self.types("help logout");
        let before = self.0.expect("\nlogout: leave\n");
        before.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// Types a command, and checks everything that it answers.
    pub(crate) fn asks(&self, line: &str, answer: &[&str]) {
        self.types(line);
        assert_eq!(self.catches_up(), answer, "the answer to {line}");
    }

    pub(crate) fn end_input(&mut self) {
        self.0.end_input();
    }

    pub(crate) fn interrupt(&self) {
        self.0.signal(Signal::INT);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.0.signal(signal);
    }

    /// Dies without a word.
    pub(crate) fn crash(self) {
        drop(self);
    }

    /// Waits for the end; the exit code.
    pub(crate) fn ends(&mut self) -> i32 {
        self.0.wait().code().expect("an exit code")
    }

    /// Logs out.
    pub(crate) fn leaves(mut self) {
        self.types("logout");
        self.sees("Goodbye.");
        assert_eq!(self.ends(), 0);
    }

    /// All that was printed from the start.
    pub(crate) fn everything(&self) -> String {
        self.0.everything()
    }
}

/// A process whose output is collected. It is killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdin: Mutex<Option<ChildStdin>>,
    output: Arc<Output>,
}

/// What a process has printed.
#[derive(Default)]
struct Output {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    text: String,
    /// How far it was looked at. A newline there may be the start of the next line looked for.
    read: usize,
    closed: bool,
}

impl Running {
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("a log");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the program starts");
        let (stdin, mut stdout) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        let output = Arc::new(Output::default());
        let collected = output.clone();
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            let mut pending = Vec::new();
            loop {
                let length = stdout.read(&mut chunk).unwrap_or(0);
                pending.extend_from_slice(&chunk[..length]);
                let whole = match std::str::from_utf8(&pending) {
                    Ok(_) => pending.len(),
                    Err(error) => error.valid_up_to(),
                };
                let text: Vec<u8> = pending.drain(..whole).collect();
                let mut state = collected.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.text.push_str(&String::from_utf8_lossy(&text));
                state.closed = length == 0;
                collected.more.notify_all();
                if length == 0 {
                    return;
                }
            }
        });
        Self { child, stdin: Mutex::new(stdin), output }
    }

    /// Writes to standard input; a process that has ended does not mind.
    pub(crate) fn write(&self, text: &str) {
        if let Some(stdin) = &mut *self.stdin.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush());
        }
    }

    pub(crate) fn end_input(&mut self) {
        self.stdin.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process runs");
    }

    /// Waits for a text; returns what was printed before it and not read yet.
    pub(crate) fn expect(&self, text: &str) -> String {
        self.expect_any(&[text])
    }

    pub(crate) fn expect_any(&self, texts: &[&str]) -> String {
        let find = |state: &State| {
            let start = state.read;
            texts.iter().find_map(|text| {
                // The very first line has no newline before it.
                let bare = text.strip_prefix('\n').filter(|_| start == 0);
                let at_start = bare.filter(|bare| state.text.starts_with(bare)).map(|bare| (0, bare.len()));
                at_start.or_else(|| {
                    state.text[start..].find(text).map(|at| (start + at, start + at + text.len()))
                })
            })
        };
        let state = self.output.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |state: &mut State| find(state).is_none() && !state.closed;
        let (mut state, _) = self
            .output
            .more
            .wait_timeout_while(state, DEADLINE, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        let Some((from, to)) = find(&state) else {
            panic!("{texts:?} did not come after byte {} of:\n{}", state.read, state.text);
        };
        let before = state.text[state.read.min(from)..from].to_owned();
        // The newline at the end is the beginning of the next line.
        state.read = if state.text[..to].ends_with('\n') { to - 1 } else { to };
        before
    }

    /// Waits for all of these texts; what is before the last of them counts as read.
    fn expect_all(&self, texts: &[&str]) {
        let find = |state: &State| {
            let ends = texts.iter().map(|text| state.text[state.read..].find(text).map(|at| at + text.len()));
            ends.collect::<Option<Vec<_>>>().and_then(|ends| ends.into_iter().max())
        };
        let state = self.output.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |state: &mut State| find(state).is_none() && !state.closed;
        let waited = self.output.more.wait_timeout_while(state, DEADLINE, waiting);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let Some(end) = find(&state) else {
            panic!("not all of {texts:?} came after byte {} of:\n{}", state.read, state.text);
        };
        // The newline at the end is the beginning of the next line.
        state.read += end - 1;
    }

    /// The first unread line with this text.
    pub(crate) fn line_with(&self, text: &str) -> String {
        self.expect(text);
        let rest = self.expect("\n");
        format!("{text}{rest}")
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let state = self.output.state.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = self.output.more.wait_timeout_while(state, DEADLINE, |state| !state.closed);
        let (state, _) = closed.unwrap_or_else(PoisonError::into_inner);
        assert!(state.closed, "the process did not end; it printed:\n{}", state.text);
        drop(state);
        self.child.wait().expect("a child ends")
    }

    pub(crate) fn everything(&self) -> String {
        self.output.state.lock().unwrap_or_else(PoisonError::into_inner).text.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("--- a process has printed:\n{}", self.everything());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = std::fs::read_to_string(self.path("server.log")).unwrap_or_default();
            println!("--- the server's log:\n{log}");
        }
    }
}
