//! What costs time or will fail later, while downloads work.

use super::network::{server_lines, tcp_line};
use super::{Hop, NetFacts, Tcp, Try, What};
use crate::check::Check;
use crate::explain::Subject;

/// A name that takes longer is slow, in milliseconds: ordinary answers take a tenth of it.
const SLOW_NAME_MS: u64 = 1500;

/// A clock that differs more is worth a word, in seconds.
const SKEW_WARN_SECONDS: u64 = 60;

/// A clock that differs more will break certificates sooner or later, in seconds.
const SKEW_NAMED_SECONDS: u64 = 300;

/// How long the go command waits for a connection that gets no answer, in seconds.
const GO_WAITS_SECONDS: u64 = 30;

/// The warnings.
pub fn checks(net: &NetFacts, subject: &Subject) -> Vec<Check> {
    let mut found = Vec::new();
    found.extend(dead_proxy(net, subject));
    found.extend(slow_name(net, subject));
    found.extend(broken_ipv6(net, subject));
    found.extend(clock(net, subject));
    found
}

fn hops(net: &NetFacts) -> impl Iterator<Item = &Hop> {
    let tries = net.steps.iter().flat_map(|step| &step.tries);
    tries.flat_map(|one| &one.exchange.hops)
}

/// An entry before `|` that fails every time: the go command does not remember it.
fn dead_proxy(net: &NetFacts, subject: &Subject) -> Option<Check> {
    let controls = || net.steps.iter().filter(|step| step.what == What::Control);
    let spare = controls().any(|step| step.answered().is_some());
    let in_steps = net.steps.iter().filter(|step| step.answered().is_some());
    let in_steps = in_steps.flat_map(|step| &step.tries);
    let in_controls = controls().filter(|_| spare).flat_map(|step| &step.tries);
    let dead = |one: &&Try| {
        one.on_any_error && !one.beyond && one.exchange.is_network() && !one.exchange.is_late()
    };
    let one = in_steps.chain(in_controls).find(dead)?;
    let failure = one.exchange.last()?.failure.as_ref()?;
    let cost = format!(
        "the go command does not remember that: it waits up to {GO_WAITS_SECONDS} s each for .info, .mod and .zip of every module"
    );
    let seen = format!("{}: {}", one.place, failure.text);
    let check = Check::warn("D21", one.place.clone(), seen.clone());
    Some(
        check
            .because("dead_proxy_in_list", 0.93, [seen, cost])
            .about(subject.clone()),
    )
}

fn slow_name(net: &NetFacts, subject: &Subject) -> Option<Check> {
    let names = hops(net).filter_map(|hop| hop.dns.as_ref());
    let slow = names
        .filter(|dns| !dns.addresses.is_empty() && dns.took_ms >= SLOW_NAME_MS)
        .max_by_key(|dns| dns.took_ms)?;
    let seen = format!("{}: {} ms to resolve", slow.name, slow.took_ms);
    let mut evidence = vec![seen.clone()];
    evidence.extend(server_lines(slow));
    let check = Check::warn("D20", slow.name.clone(), seen).took(slow.took_ms);
    Some(
        check
            .because("slow_resolver", 0.93, evidence)
            .about(subject.clone()),
    )
}

/// IPv6 addresses that swallow connections while IPv4 works. No route at once is harmless: the
/// go command goes on without a wait.
fn broken_ipv6(net: &NetFacts, subject: &Subject) -> Option<Check> {
    let silent = |tried: &Tcp| tried.v6 && !tried.connected && tried.error.is_some();
    let waited = |tried: &Tcp| {
        matches!(tried.fault, None | Some(super::facts::Fault::TimedOut)) && silent(tried)
    };
    let broken = |hop: &&Hop| {
        let works = |v6: bool| hop.tcp.iter().any(|t| t.v6 == v6 && t.connected);
        works(false) && !works(true) && hop.tcp.iter().any(waited)
    };
    let hop = hops(net).find(broken)?;
    let seen = format!("{}: IPv4 answers, IPv6 does not", hop.host);
    let lines = hop.tcp.iter().map(tcp_line);
    let check = Check::warn("D22", hop.host.clone(), seen.clone());
    let evidence = std::iter::once(seen).chain(lines);
    Some(
        check
            .because("ipv6_broken", 0.85, evidence)
            .about(subject.clone()),
    )
}

fn clock(net: &NetFacts, subject: &Subject) -> Option<Check> {
    let ahead = |hop: &Hop| Some((hop.http.as_ref()?.clock_ahead_s?, hop.host.clone()));
    let answers: Vec<(i64, String)> = hops(net).filter_map(ahead).collect();
    let (seconds, host) = answers
        .iter()
        .min_by_key(|(seconds, _)| seconds.unsigned_abs())?;
    if seconds.unsigned_abs() <= SKEW_WARN_SECONDS {
        let seen = format!("this machine's clock and {host}'s differ by {seconds} s");
        return Some(Check::ok("D24", "clock", seen));
    }
    let way = if *seconds > 0 { "behind" } else { "ahead of" };
    let seen = format!(
        "this machine's clock is {} s {way} {host}'s",
        seconds.unsigned_abs()
    );
    let check = Check::warn("D24", "clock", seen.clone());
    Some(match seconds.unsigned_abs() > SKEW_NAMED_SECONDS {
        true => check
            .because("clock_skew", 0.8, [seen])
            .about(subject.clone()),
        false => check,
    })
}
