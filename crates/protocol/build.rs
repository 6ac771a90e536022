//! Compiles the wire schema with a compiler written in Rust, so that no `protoc` is needed.

/// These hold a password, a token or a right: their `Debug` is written by hand in `redact.rs`.
const SECRET: [&str; 8] = [
    ".hobnob.v1.Lookup",
    ".hobnob.v1.Login",
    ".hobnob.v1.Login.proof",
    ".hobnob.v1.Resume",
    ".hobnob.v1.Opened",
    ".hobnob.v1.ChangePassword",
    ".hobnob.v1.TalkText",
    ".hobnob.v1.Sources",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto";
    println!("cargo::rerun-if-changed={root}");
    let schema =
        protox::compile(["hobnob/v1/client.proto", "hobnob/v1/peer.proto", "hobnob/v1/file.proto"], [root])?;
    prost_build::Config::new().bytes(["."]).skip_debug(SECRET).compile_fds(schema)?;
    Ok(())
}
