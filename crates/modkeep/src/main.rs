//! The modkeep command.
fn main() {}
