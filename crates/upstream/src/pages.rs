//! Pages for discovery, over the guarded client.

use crate::failure::{Failure, causes};
use crate::net::{Encoding, Net, Reach};
use crate::vcs::{Page, PageError, Pages};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;
use url::Url;

/// A page with go-import tags has them in its head: 1 MiB is far beyond any.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// A page must be there, whole, within this time: what a client waits leaves room for the clone.
const PAGE_TIME: Duration = Duration::from_secs(15);

/// A whole file of a `mod` entry's proxy.
const DOWNLOAD_TIME: Duration = Duration::from_secs(600);

impl Pages for Net {
    fn get<'a>(
        &'a self,
        url: &'a Url,
        public_only: bool,
    ) -> BoxFuture<'a, Result<Page, PageError>> {
        async move {
            let deadline = Instant::now() + PAGE_TIME;
            let mut answer = open(self, url, public_only, Encoding::Any, deadline).await?;
            let kind = answer
                .headers()
                .get(CONTENT_TYPE)
                .and_then(|v| v.to_str().ok());
            let mut page = Page {
                status: answer.status().as_u16(),
                final_url: answer.url().clone(),
                content_type: kind.unwrap_or("").to_owned(),
                body: Vec::new(),
            };
            while page.body.len() < PAGE_BYTES_MAX
                && let Some(chunk) = chunk(&mut answer, deadline).await?
            {
                page.body.extend_from_slice(&chunk);
            }
            page.body.truncate(PAGE_BYTES_MAX);
            Ok(page)
        }
        .boxed()
    }

    fn download<'a>(
        &'a self,
        url: &'a Url,
        public_only: bool,
        to: &'a Path,
        bytes_max: u64,
    ) -> BoxFuture<'a, Result<u16, PageError>> {
        async move {
            let deadline = Instant::now() + DOWNLOAD_TIME;
            let mut answer = open(self, url, public_only, Encoding::Identity, deadline).await?;
            let status = answer.status().as_u16();
            if status != 200 {
                return Ok(status);
            }
            let disk = |e: std::io::Error| PageError::Unreachable(format!("{}: {e}", to.display()));
            let mut file = tokio::fs::File::create_new(to).await.map_err(disk)?;
            let mut size = 0;
            while let Some(chunk) = chunk(&mut answer, deadline).await? {
                size += chunk.len() as u64;
                if size > bytes_max {
                    return Err(PageError::Refused(format!(
                        "{url}: larger than {bytes_max} bytes"
                    )));
                }
                file.write_all(&chunk).await.map_err(disk)?;
            }
            file.flush().await.map_err(disk)?;
            Ok(status)
        }
        .boxed()
    }
}

async fn open(
    net: &Net,
    url: &Url,
    public_only: bool,
    encoding: Encoding,
    deadline: Instant,
) -> Result<Response, PageError> {
    let reach = if public_only {
        Reach::Public
    } else {
        Reach::Any
    };
    net.get(url, reach, encoding, deadline)
        .await
        .map_err(|failure| match failure {
            Failure::TimedOut(text) => PageError::Timeout(text),
            other => PageError::Unreachable(other.text().to_owned()),
        })
}

async fn chunk(
    answer: &mut Response,
    deadline: Instant,
) -> Result<Option<bytes::Bytes>, PageError> {
    match tokio::time::timeout_at(deadline, answer.chunk()).await {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(e)) => Err(PageError::Unreachable(causes(e))),
        Err(_) => Err(PageError::Timeout("the page did not end in time".into())),
    }
}
