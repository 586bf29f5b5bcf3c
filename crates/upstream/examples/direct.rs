//! Fetches versions of a module straight from version control and says how long it took:
//! `direct CACHE MODULE VERSION...`. For measuring against `GOPROXY=direct go mod download`.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use gomod::path::ModulePath;
use gomod::version::{ModuleVersion, Revision, Version};
use upstream::vcs::{Direct, DirectSettings, Page, PageError, Pages};
use url::Url;

/// Known hosts need no page.
struct NoPages;

impl Pages for NoPages {
    fn get<'a>(&'a self, url: &'a Url, _: bool) -> BoxFuture<'a, Result<Page, PageError>> {
        Box::pin(async move { Err(PageError::Unreachable(url.to_string())) })
    }

    fn download<'a>(
        &'a self,
        url: &'a Url,
        _: bool,
        _: &'a Path,
        _: u64,
    ) -> BoxFuture<'a, Result<u16, PageError>> {
        Box::pin(async move { Err(PageError::Unreachable(url.to_string())) })
    }
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [cache, module, versions @ ..] = args.as_slice() else {
        panic!("direct CACHE MODULE VERSION...");
    };
    let settings = DirectSettings::new(cache.into());
    let direct = Direct::new(settings, Arc::new(NoPages)).expect("cache");
    let module = ModulePath::parse(module).expect("module");
    let started = Instant::now();
    let list = direct.list(&module).await.expect("list");
    println!("list: {} versions, {:?}", list.len(), started.elapsed());
    let mut tasks = tokio::task::JoinSet::new();
    for version in versions {
        let (direct, module, version) = (direct.clone(), module.clone(), version.clone());
        let out = Path::new(cache).join(format!("{version}.zip"));
        tasks.spawn(async move {
            let begun = Instant::now();
            let rev = Revision::parse(&version).expect("revision");
            direct.info(&module, &rev).await.expect("info");
            let informed = begun.elapsed();
            let mv = ModuleVersion::new(module, Version::parse(&version).unwrap()).unwrap();
            direct.go_mod(&mv).await.expect("go.mod");
            let sum = direct.zip(&mv, &out).await.expect("zip");
            println!("{mv} {sum} info {informed:?} all {:?}", begun.elapsed());
            let size = std::fs::metadata(&out).unwrap().len();
            println!("{size}");
            std::fs::remove_file(out).ok();
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("task");
    }
    println!("all: {:?}", started.elapsed());
}
