mod hostile;
mod lines;
mod partings;
mod questions;
mod requests;
mod said;
mod trust;
mod world;

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
