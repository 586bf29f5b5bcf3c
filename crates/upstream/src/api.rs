//! The client's side of modkeep's own API.

use crate::failure::causes;
use crate::net::NetError;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, ClientBuilder};
use std::time::Duration;

/// A client for the API of a running modkeep.
#[derive(Debug, Clone)]
pub struct ApiClient(Client);

/// Builds a client. It waits long: the server may have to fetch.
pub fn api_client() -> Result<ApiClient, NetError> {
    let built = ClientBuilder::new()
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(3600))
        .build();
    built
        .map(ApiClient)
        .map_err(|e| NetError::Client(causes(e)))
}

impl ApiClient {
    /// Posts JSON; gives the status and the answer's text.
    pub async fn post_json(
        &self,
        url: &str,
        body: String,
        token: Option<&str>,
    ) -> Result<(u16, String), String> {
        let mut request = self
            .0
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request
            .send()
            .await
            .map_err(|e| format!("{url}: {}", causes(e)))?;
        let status = answer.status().as_u16();
        let text = answer
            .text()
            .await
            .map_err(|e| format!("{url}: {}", causes(e)))?;
        Ok((status, text))
    }
}
