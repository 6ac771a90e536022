//! Private talk between two homes behind routers, in network namespaces of this machine, with the real program. It takes
//! root, iproute2, nftables and tcpdump; without them every test says so on standard error and passes.

mod capture;
mod internet;
mod namespace;
mod people;
#[path = "../support/mod.rs"]
mod support;

mod punch;
mod talk;
