//! The store's promises, held against disks that lie, damage, and whoever opens it twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod damage;
mod groups;
mod lies;
mod model;
mod opening;
mod random;
mod spooling;
