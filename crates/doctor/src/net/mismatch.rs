//! Who is the odd one out when hashes differ.
//!
//! One source alone is never believed against another one; the proved record of the checksum
//! database weighs more than any proxy, and less than all others together.

use super::blame::Blame;
use super::{NetFacts, SumSource};

/// What is to blame for hashes that differ.
pub fn blame(net: &NetFacts) -> Option<Blame> {
    let served = net.sums.first()?;
    let by_zip = odd_one(&net.sums, served, |source| source.zip.as_ref());
    let found = by_zip.or_else(|| odd_one(&net.sums, served, |source| source.go_mod.as_ref()))?;
    let lines = net.sums.iter().map(|source| {
        let zip = source.zip.as_deref().unwrap_or("-");
        let go_mod = source.go_mod.as_deref().unwrap_or("-");
        format!("{}: zip {zip}, go.mod {go_mod}", source.name)
    });
    let mut blame = found.also(lines);
    blame.subject = served.name.clone();
    Some(blame)
}

fn odd_one<'a>(
    sources: &'a [SumSource],
    served: &'a SumSource,
    sum: impl Fn(&'a SumSource) -> Option<&'a String>,
) -> Option<Blame> {
    let ours = sum(served)?;
    let recorded: Vec<&String> = sources
        .iter()
        .filter(|s| s.sumdb)
        .filter_map(&sum)
        .collect();
    let others: Vec<&SumSource> = sources[1..].iter().filter(|s| !s.sumdb).collect();
    let agree = others
        .iter()
        .filter(|source| sum(source) == Some(ours))
        .count();
    let listed = others
        .iter()
        .find(|s| s.name == "go.sum")
        .and_then(|s| sum(s));
    if recorded.windows(2).any(|pair| pair[0] != pair[1]) {
        return Some(
            Blame::new("D33", "sumdb_divergent", 0.97)
                .seen("the checksum database proves different records on different roads"),
        );
    }
    let record = recorded.first().copied();
    if let Some(record) = record.filter(|record| *record != ours) {
        return Some(match agree {
            0 => Blame::new("D33", "checksum_mismatch_proxy_divergent", 0.88).seen(format!(
                "{} serves {ours}, the proved record is {record}",
                served.name
            )),
            _ => Blame::new("D33", "sumdb_divergent", 0.85).seen(format!(
                "{} sources agree on {ours}, the checksum database alone proves {record}",
                agree + 1
            )),
        });
    }
    let listed = listed.filter(|listed| *listed != ours)?;
    let proxies = others
        .iter()
        .filter(|s| s.name != "go.sum" && s.name != "module cache");
    let with_go_sum = proxies.filter(|source| sum(source) == Some(listed)).count();
    Some(match record.is_some() || agree > 0 || with_go_sum == 0 {
        // The record or another proxy vouches for what is served, or nobody does for go.sum.
        true if record.is_some() || agree > 0 => {
            Blame::new("D33", "checksum_mismatch_gosum_wrong", 0.88)
                .seen(format!("go.sum says {listed}, everybody else {ours}"))
        }
        _ => Blame::new("D33", "checksum_mismatch_proxy_divergent", 0.75).seen(format!(
            "{} serves {ours}, go.sum has {listed}",
            served.name
        )),
    })
}
