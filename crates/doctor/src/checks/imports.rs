//! D58: does exactly one required module provide each package that is imported?

use super::late;
use super::project::Project;
use crate::check::Check;
use crate::explain::Subject;
use crate::facts::{Import, Provider};

/// Packages that came into the standard library after 1.11, and the release they came with
/// (go.dev/doc/devel/release).
const SINCE: &[(&str, u32)] = &[
    ("embed", 16),
    ("io/fs", 16),
    ("testing/fstest", 16),
    ("runtime/metrics", 16),
    ("go/build/constraint", 16),
    ("testing/iotest", 0),
    ("net/netip", 18),
    ("debug/buildinfo", 18),
    ("go/doc/comment", 19),
    ("crypto/ecdh", 20),
    ("runtime/coverage", 20),
    ("cmp", 21),
    ("log/slog", 21),
    ("maps", 21),
    ("slices", 21),
    ("testing/slogtest", 21),
    ("go/version", 22),
    ("math/rand/v2", 22),
    ("iter", 23),
    ("structs", 23),
    ("unique", 23),
    ("crypto/hkdf", 24),
    ("crypto/mlkem", 24),
    ("crypto/pbkdf2", 24),
    ("crypto/sha3", 24),
    ("crypto/fips140", 24),
    ("weak", 24),
    ("testing/synctest", 25),
];

/// Checks of one kind that are told; a project with more has one cause for all.
const TOLD_MAX: usize = 5;

pub fn checks(project: &Project<'_>) -> Vec<Check> {
    let Some(imports) = &project.seen.imports else {
        return vec![late("D58", "imports")];
    };
    let mut checks = Vec::new();
    for import in imports.iter().filter(|import| !import.constrained) {
        checks.extend(judge(project, import));
        if checks.len() >= TOLD_MAX {
            break;
        }
    }
    if checks.is_empty() {
        let part = if project.seen.partial {
            " (not all sources were read)"
        } else {
            ""
        };
        checks.push(Check::ok(
            "D58",
            "imports",
            format!("{} packages have one provider each{part}", imports.len()),
        ));
    }
    checks
}

/// The module that provides a package, as the build would choose it; `None` if that is not known.
pub fn provider<'i>(project: &Project<'_>, import: &'i Import) -> Option<&'i Provider> {
    if is_own(project, &import.path) || is_dotless(&import.path) {
        return None;
    }
    let longest = |provider: &&Provider| provider.module.len();
    let holding = import
        .providers
        .iter()
        .filter(|p| p.holds == Some(true))
        .max_by_key(longest);
    holding.or_else(|| {
        let open = import.providers.iter().filter(|p| p.holds.is_none());
        let sole = import
            .providers
            .iter()
            .filter(|p| p.holds != Some(false))
            .count()
            == 1;
        open.max_by_key(longest).filter(|_| sole)
    })
}

fn is_own(project: &Project<'_>, path: &str) -> bool {
    let own = project.file.module.as_deref().unwrap_or_default();
    path == own
        || path
            .strip_prefix(own)
            .is_some_and(|rest| rest.starts_with('/'))
}

/// The standard library's paths have no dot in their first element.
fn is_dotless(path: &str) -> bool {
    !path.split('/').next().unwrap_or_default().contains('.')
}

fn judge(project: &Project<'_>, import: &Import) -> Option<Check> {
    let path = &import.path;
    if matches!(&**path, "C" | "unsafe") || is_replaced_or_worked(project, path) {
        return None;
    }
    if is_own(project, path) {
        return own(project, import);
    }
    if is_dotless(path) && import.providers.is_empty() {
        return standard(project, import);
    }
    if project.is_vendored() {
        return None;
    }
    let holding: Vec<&Provider> = import
        .providers
        .iter()
        .filter(|p| p.holds == Some(true))
        .collect();
    if let [first, second, ..] = holding[..] {
        let name = |p: &Provider| format!("{}@{}", p.module, p.version);
        let detail = format!("found in {} and in {}", name(first), name(second));
        return Some(told(
            import,
            detail,
            "ambiguous_import",
            0.95,
            Some(&first.module),
        ));
    }
    if !holding.is_empty() || import.providers.iter().any(|p| p.holds.is_none()) {
        return None;
    }
    if let Some(nested) = import.providers.iter().find(|p| p.nested == Some(true)) {
        let detail = format!(
            "lies in a directory of {} that is a module of its own",
            nested.module
        );
        return Some(told(import, detail, "nested_module", 0.85, Some(path)));
    }
    if let Some(lacking) = import.providers.first() {
        let detail = format!(
            "{}@{} is required, but holds no such package",
            lacking.module, lacking.version
        );
        return Some(told(
            import,
            detail,
            "package_not_in_module",
            0.93,
            Some(&lacking.module),
        ));
    }
    unprovided(project, import)
}

fn told(
    import: &Import,
    detail: String,
    label: &'static str,
    sure: f64,
    module: Option<&str>,
) -> Check {
    let place = format!("{}:{} imports {}", import.file, import.line, import.path);
    let subject = Subject {
        module: module.map(str::to_owned),
        ..Subject::default()
    };
    let detail_line = format!("{}: {detail}", import.path);
    Check::fail("D58", &import.path, detail)
        .because(label, sure, [place, detail_line])
        .about(subject)
}

/// Another main module of the workspace may provide it.
fn is_replaced_or_worked(project: &Project<'_>, path: &str) -> bool {
    let under = |module: &str| {
        path == module
            || path
                .strip_prefix(module)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    let worked = project.seen.work.present();
    worked.is_some_and(|work| {
        work.uses
            .iter()
            .filter_map(|used| used.module.as_deref())
            .any(under)
    }) || project
        .file
        .replace
        .iter()
        .any(|replace| under(&replace.old))
}

/// A package of this module: is its directory there?
fn own(project: &Project<'_>, import: &Import) -> Option<Check> {
    let packages = project
        .seen
        .packages
        .as_ref()
        .filter(|_| !project.seen.partial)?;
    let module = project.file.module.as_deref()?;
    let below = import.path.strip_prefix(module)?.trim_start_matches('/');
    let in_nested = project.seen.nested.iter().flatten().any(|nested| {
        below == nested.written
            || below
                .strip_prefix(&*nested.written)
                .is_some_and(|rest| rest.starts_with('/'))
    });
    if packages.iter().any(|package| package == below) || in_nested || project.is_vendored() {
        return None;
    }
    let folded = below.to_lowercase();
    let near = packages
        .iter()
        .find(|package| package.to_lowercase() == folded);
    Some(match near {
        Some(near) => {
            let detail = format!("the directory is called {near}: upper and lower case count");
            told(import, detail, "case_collision", 0.7, Some(&import.path))
        }
        None => {
            let detail = format!("this module has no Go files in {below}");
            told(
                import,
                detail,
                "package_not_in_module",
                0.8,
                Some(&import.path),
            )
        }
    })
}

fn standard(project: &Project<'_>, import: &Import) -> Option<Check> {
    let std = project.seen.std.as_ref()?;
    let path = &import.path;
    if std.iter().any(|package| package == path) {
        return None;
    }
    let newer = SINCE
        .iter()
        .find(|(package, minor)| package == path && *minor > 0);
    if let Some((_, minor)) = newer {
        let detail = format!("is in the standard library since Go 1.{minor}, and this Go is older");
        return Some(told(import, detail, "package_not_in_std", 0.95, None));
    }
    let last = path.rsplit('/').next().unwrap_or(path);
    let near = std
        .iter()
        .find(|package| package.rsplit('/').next() == Some(last));
    let near = near.map_or(String::new(), |near| format!("; {near} is"));
    let detail =
        format!("is not in the standard library, where paths without a dot are looked for{near}");
    Some(told(import, detail, "package_not_in_std", 0.9, None))
}

fn unprovided(project: &Project<'_>, import: &Import) -> Option<Check> {
    // Before 1.17 go.mod did not name all modules that provide packages.
    if !project.file.is_pruned() || project.goflag("mod").as_deref() == Some("mod") {
        return None;
    }
    let sibling = project.file.require.iter().find(|require| {
        gomod::path::split_path_version(&require.path).is_some_and(|(prefix, major)| {
            let rest = import.path.strip_prefix(prefix).unwrap_or_default();
            !major.is_empty() && (rest.is_empty() && import.path == prefix || rest.starts_with('/'))
        })
    });
    if let Some(sibling) = sibling {
        let detail = format!(
            "{} is required: the major version is part of the path, also in imports",
            sibling.path
        );
        return Some(told(
            import,
            detail,
            "major_version_suffix",
            0.85,
            Some(&sibling.path),
        ));
    }
    let detail = "no required module provides it: go get adds one".to_owned();
    Some(told(
        import,
        detail,
        "no_module_provides",
        0.88,
        Some(&import.path),
    ))
}
