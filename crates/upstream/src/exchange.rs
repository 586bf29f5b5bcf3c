//! One question, one small answer: whole, bounded, with its status. For protocols whose statuses
//! mean something to the caller, such as those of logs and witnesses.

use crate::failure::{Failure, causes};
use crate::net::{Encoding, Net, Reach};
use crate::proxies::show;
use bytes::{Bytes, BytesMut};
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use tokio::time::Instant;
use url::Url;

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// The status.
    pub status: u16,
    /// The content type, empty when there is none.
    pub content_type: String,
    /// The body, cut behind the byte that made it too long.
    pub body: Bytes,
}

impl Net {
    /// GETs a small file. A body of more than `max` bytes comes cut to one byte more.
    pub async fn fetch(
        &self,
        url: &Url,
        reach: Reach<'_>,
        max: usize,
        deadline: Instant,
    ) -> Result<Exchanged, Failure> {
        let answer = self.get(url, reach, Encoding::Any, deadline).await?;
        whole(answer, url, max, deadline).await
    }

    /// POSTs to an address that the settings name, and nowhere else: redirects are answers.
    pub async fn post(
        &self,
        url: &Url,
        content_type: &'static str,
        body: Bytes,
        max: usize,
        deadline: Instant,
    ) -> Result<Exchanged, Failure> {
        let answer = self.send_post(url, content_type, body, deadline).await?;
        whole(answer, url, max, deadline).await
    }
}

async fn whole(
    mut answer: Response,
    url: &Url,
    max: usize,
    deadline: Instant,
) -> Result<Exchanged, Failure> {
    let status = answer.status().as_u16();
    let content_type = answer
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let mut body = BytesMut::new();
    while body.len() <= max {
        match tokio::time::timeout_at(deadline, answer.chunk()).await {
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            Ok(Ok(None)) => break,
            Ok(Err(e)) => {
                let text = format!("{}: the answer was cut: {}", show(url), causes(e));
                return Err(Failure::Failed(text));
            }
            Err(_) => {
                let text = format!("{}: no whole answer in time", show(url));
                return Err(Failure::TimedOut(text));
            }
        }
    }
    body.truncate(max + 1);
    Ok(Exchanged {
        status,
        content_type,
        body: body.freeze(),
    })
}
