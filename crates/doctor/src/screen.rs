//! What `modkeep doctor` shows a person: the checks by group, then the causes at length.

use std::fmt::Write as _;

use crate::cause::Lang;
use crate::check::{Check, Report, State, Verdict};
use crate::facts::Group;
use crate::render;

/// Findings that are shown at length; further ones are only named.
const FINDINGS_LONG_MAX: usize = 3;

/// The whole screen. `verbose` shows what is good, skipped or unknown one by one; else it is
/// counted.
pub fn screen(report: &Report, lang: Lang, color: bool, verbose: bool) -> String {
    let mut out = String::new();
    for group in Group::ALL {
        let checks = || report.checks.iter().filter(|check| check.group() == group);
        if checks().next().is_none() {
            continue;
        }
        let gap = if out.is_empty() { "" } else { "\n" };
        let _ = writeln!(out, "{gap}{}", bold(group_name(group, lang), color));
        for check in checks() {
            if verbose || loud(check) {
                line(&mut out, check, lang, color);
            }
        }
        if !verbose {
            quiet(&mut out, checks().filter(|check| !loud(check)), lang, color);
        }
    }
    let _ = writeln!(out, "\n{}", bold(&summary(report, lang), color));
    let long = report.findings.iter().take(FINDINGS_LONG_MAX);
    for finding in long {
        out.push('\n');
        out.push_str(&render::finding(finding, lang, color));
    }
    let rest = report.findings.get(FINDINGS_LONG_MAX..).unwrap_or_default();
    if !rest.is_empty() {
        out.push('\n');
        out.push_str(&render::named(rest, lang, color));
    }
    out
}

/// What a check is about, in a few words.
pub fn title(id: &str, lang: Lang) -> &'static str {
    let found = TITLES.iter().find(|(known, _, _)| *known == id);
    let (_, en, zh) = found.unwrap_or(&("", "", ""));
    match lang {
        Lang::En => en,
        Lang::Zh => zh,
    }
}

/// Every check that has a title: number, English, Chinese.
pub fn titles() -> &'static [(&'static str, &'static str, &'static str)] {
    TITLES
}

/// The checks, as people call them.
const TITLES: &[(&str, &str, &str)] = &[
    ("D01", "go command", "go 命令"),
    ("D02", "where settings come from", "设置的来源"),
    ("D03", "unknown variables", "未知变量"),
    ("D04", "GOPROXY is well written", "GOPROXY 写法"),
    ("D05", "GOPROXY order", "GOPROXY 顺序"),
    ("D06", "GOSUMDB is well written", "GOSUMDB 写法"),
    ("D07", "private patterns", "私有模式"),
    ("D08", "who is asked for what", "向谁询问什么"),
    ("D09", "GOFLAGS", "GOFLAGS"),
    ("D10", "module mode and GOPATH", "模块模式与 GOPATH"),
    ("D11", "workspace", "工作区"),
    ("D12", "toolchain", "工具链"),
    (
        "D13",
        "GOINSECURE, GOVCS, GOAUTH",
        "GOINSECURE、GOVCS、GOAUTH",
    ),
    ("D14", "netrc", "netrc"),
    ("D15", "forward proxy", "正向代理"),
    ("D16", "git and ssh", "git 与 ssh"),
    ("D17", "container, certificates, home", "容器、证书、主目录"),
    ("D20", "name resolution", "域名解析"),
    ("D21", "connections", "连接"),
    ("D22", "IPv4 and IPv6", "IPv4 与 IPv6"),
    ("D23", "TLS", "TLS"),
    ("D24", "clock", "时钟"),
    ("D25", "proxy answers", "代理应答"),
    ("D26", "authentication", "认证"),
    ("D27", "redirects", "重定向"),
    ("D28", "throughput", "吞吐"),
    ("D29", "packet size", "包大小"),
    ("D30", "captive portal", "强制门户"),
    ("D31", "rate limit", "限速"),
    (
        "D32",
        "route to the checksum database",
        "到校验数据库的路径",
    ),
    ("D33", "checksum database's key", "校验数据库的密钥"),
    ("D34", "checksum database's tiles", "校验数据库的瓦片"),
    ("D35", "negative caching", "负缓存"),
    ("D40", "cache directories", "缓存目录"),
    ("D41", "locks", "锁"),
    ("D42", "module cache content", "模块缓存内容"),
    (
        "D43",
        "memory of the checksum database",
        "校验数据库的本地记录",
    ),
    ("D44", "clones", "仓库克隆"),
    ("D50", "go.mod", "go.mod"),
    ("D51", "go.sum", "go.sum"),
    ("D53", "nested modules", "嵌套模块"),
    ("D54", "replace", "replace"),
    ("D55", "vendor", "vendor"),
    ("D56", "paths and versions", "路径与版本"),
    ("D57", "retracted versions", "已撤回版本"),
    ("D58", "imports", "导入"),
    ("D60", "forks", "分叉"),
];

fn loud(check: &Check) -> bool {
    matches!(check.state, State::Warn | State::Fail)
}

fn line(out: &mut String, check: &Check, lang: Lang, color: bool) {
    let mut lines = check.detail.lines();
    let first = lines.next().unwrap_or_default();
    let name = title(check.id, lang);
    let subject = if check.subject == name {
        ""
    } else {
        &*check.subject
    };
    let gap = if subject.is_empty() { "" } else { ": " };
    let mark = mark(check.state, color);
    let _ = writeln!(out, "  {mark} {} {name}{gap}{subject}: {first}", check.id);
    for more in lines {
        let _ = writeln!(out, "         {more}");
    }
}

/// What is not worth a line each: numbers by state.
fn quiet<'c>(out: &mut String, checks: impl Iterator<Item = &'c Check>, lang: Lang, color: bool) {
    let mut numbers: Vec<(State, Vec<&str>)> = Vec::new();
    for check in checks {
        match numbers.iter_mut().find(|(state, _)| *state == check.state) {
            Some((_, ids)) if ids.contains(&check.id) => {}
            Some((_, ids)) => ids.push(check.id),
            None => numbers.push((check.state, vec![check.id])),
        }
    }
    numbers.sort_by_key(|(state, _)| *state);
    for (state, ids) in numbers {
        let names: Vec<&str> = ids.iter().map(|id| title(id, lang)).collect();
        let joint = match lang {
            Lang::En => ", ",
            Lang::Zh => "，",
        };
        let _ = writeln!(out, "  {} {}", mark(state, color), names.join(joint));
    }
}

fn mark(state: State, color: bool) -> String {
    let (word, code) = match state {
        State::Ok => ("[ok]", 32),
        State::Warn => ("[warn]", 33),
        State::Fail => ("[fail]", 31),
        State::Unknown => ("[unknown]", 36),
        State::Skipped => ("[skipped]", 2),
    };
    match color {
        true => format!("\u{1b}[{code}m{word}\u{1b}[0m"),
        false => word.to_owned(),
    }
}

fn bold(text: &str, color: bool) -> String {
    match color {
        true => format!("\u{1b}[1m{text}\u{1b}[0m"),
        false => text.to_owned(),
    }
}

fn group_name(group: Group, lang: Lang) -> &'static str {
    match (group, lang) {
        (Group::Env, Lang::En) => "Go and its settings",
        (Group::Env, Lang::Zh) => "Go 及其设置",
        (Group::Net, Lang::En) => "Network",
        (Group::Net, Lang::Zh) => "网络",
        (Group::Local, Lang::En) => "Caches and disks",
        (Group::Local, Lang::Zh) => "缓存与磁盘",
        (Group::Project, Lang::En) => "Project",
        (Group::Project, Lang::Zh) => "项目",
    }
}

fn summary(report: &Report, lang: Lang) -> String {
    let count = |state| {
        report
            .checks
            .iter()
            .filter(|check| check.state == state)
            .count()
    };
    let (fails, warns, unknown) = (
        count(State::Fail),
        count(State::Warn),
        count(State::Unknown),
    );
    match (report.verdict(), lang) {
        (Verdict::Failing, Lang::En) => {
            format!("{fails} failing, {warns} warnings, {unknown} unknown")
        }
        (Verdict::Failing, Lang::Zh) => format!("{fails} 项失败，{warns} 项警告，{unknown} 项未知"),
        (Verdict::Unknown, Lang::En) => format!("Could not find out everything: {unknown} unknown"),
        (Verdict::Unknown, Lang::Zh) => format!("未能查清：{unknown} 项未知"),
        (Verdict::Healthy, Lang::En) if warns == 0 => "Nothing wrong was found".to_owned(),
        (Verdict::Healthy, Lang::Zh) if warns == 0 => "没有发现问题".to_owned(),
        (Verdict::Healthy, Lang::En) => format!("Nothing fails, {warns} warnings"),
        (Verdict::Healthy, Lang::Zh) => format!("没有失败，{warns} 项警告"),
    }
}
