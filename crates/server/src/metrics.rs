//! Metrics, in the Prometheus text format or, when asked for, OpenMetrics.

use crate::access::AccessLog;
use gomod::request::Request;
use keep::{Keep, LogReport, Origin};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric,
};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in seconds: from a hit in memory (tens of microseconds) to the time limit (30 s).
const BUCKETS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// What kind of question a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Route {
    List,
    Latest,
    Info,
    Query,
    Mod,
    Zip,
    Sumdb,
    Own,
    Other,
}

const ROUTES: usize = 9;

impl Route {
    /// The route of a parsed request.
    pub fn of(request: &Request) -> Self {
        match request {
            Request::List(_) => Route::List,
            Request::Latest(_) => Route::Latest,
            Request::Info(_, revision) if revision.as_version().is_some() => Route::Info,
            Request::Info(..) => Route::Query,
            Request::Mod(_) => Route::Mod,
            Request::Zip(_) => Route::Zip,
            Request::Sumdb { .. } => Route::Sumdb,
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    Hit,
    Stale,
    Miss,
    Joined,
    NotFound,
    ClientError,
    UpstreamError,
    Refused,
    Internal,
}

const OUTCOMES: usize = 9;

impl From<Origin> for Outcome {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Hit => Outcome::Hit,
            Origin::Stale => Outcome::Stale,
            Origin::Miss => Outcome::Miss,
            Origin::Joined => Outcome::Joined,
        }
    }
}

impl Outcome {
    /// The outcome that an error status stands for.
    pub fn of_status(status: u16) -> Self {
        match status {
            404 | 410 => Outcome::NotFound,
            401 | 403 | 429 | 451 | 503 => Outcome::Refused,
            400..=499 => Outcome::ClientError,
            502 | 504 => Outcome::UpstreamError,
            _ => Outcome::Internal,
        }
    }

    /// The word in logs and in `Cache-Status`.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Stale => "stale",
            Outcome::Miss => "miss",
            Outcome::Joined => "joined",
            Outcome::NotFound => "not-found",
            Outcome::ClientError => "client-error",
            Outcome::UpstreamError => "upstream-error",
            Outcome::Refused => "refused",
            Outcome::Internal => "internal",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    route: Route,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: Route,
}

/// The metrics of a server. Counters that every request touches are looked up once, at the start.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: [[Counter; OUTCOMES]; ROUTES],
    latency: [Histogram; ROUTES],
    sent: AtomicU64,
    /// Requests being answered.
    pub in_flight: Gauge,
    /// Open connections.
    pub connections: Gauge,
}

const ALL_ROUTES: [Route; ROUTES] = [
    Route::List,
    Route::Latest,
    Route::Info,
    Route::Query,
    Route::Mod,
    Route::Zip,
    Route::Sumdb,
    Route::Own,
    Route::Other,
];

const ALL_OUTCOMES: [Outcome; OUTCOMES] = [
    Outcome::Hit,
    Outcome::Stale,
    Outcome::Miss,
    Outcome::Joined,
    Outcome::NotFound,
    Outcome::ClientError,
    Outcome::UpstreamError,
    Outcome::Refused,
    Outcome::Internal,
];

impl Metrics {
    /// Registers everything. `keep` and `log` are read when metrics are asked for.
    pub fn new(keep: Keep, log: Option<AccessLog>) -> Self {
        let mut registry = Registry::with_prefix("modkeep");
        let requests = Family::<Labels, Counter>::default();
        let latency =
            Family::<RouteLabel, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let (in_flight, connections) = (Gauge::default(), Gauge::default());
        registry.register(
            "requests",
            "Requests by route and outcome",
            requests.clone(),
        );
        registry.register(
            "request_seconds",
            "Time until the answer's head, by route",
            latency.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests being answered",
            in_flight.clone(),
        );
        registry.register("connections", "Open connections", connections.clone());
        registry.register_collector(Box::new(FromKeep { keep, log }));
        Self {
            requests: ALL_ROUTES.map(|route| {
                ALL_OUTCOMES.map(|outcome| requests.get_or_create_owned(&Labels { route, outcome }))
            }),
            latency: ALL_ROUTES.map(|route| latency.get_or_create_owned(&RouteLabel { route })),
            registry,
            sent: AtomicU64::new(0),
            in_flight,
            connections,
        }
    }

    /// Counts an answer. `bytes`: its body's length, if known.
    pub fn answered(&self, route: Route, outcome: Outcome, took: Duration, bytes: Option<u64>) {
        self.requests[route as usize][outcome as usize].inc();
        self.latency[route as usize].observe(took.as_secs_f64());
        self.sent.fetch_add(bytes.unwrap_or(0), Ordering::Relaxed);
    }

    /// All metrics, as OpenMetrics or in the older Prometheus text format.
    pub fn render(&self, open_metrics: bool) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        let sent = self.sent.load(Ordering::Relaxed);
        let tail = format!(
            "# HELP modkeep_response_bytes Bytes of answers whose length was known.\n# TYPE modkeep_response_bytes counter\nmodkeep_response_bytes_total {sent}\n# EOF\n"
        );
        let text = text.replace("# EOF\n", &tail);
        Ok(if open_metrics { text } else { classic(&text) })
    }
}

/// OpenMetrics names a counter's family without `_total`; the older format names the samples.
fn classic(text: &str) -> String {
    let mut counters: Vec<&str> = Vec::new();
    for line in text.lines() {
        if let Some((name, "counter")) =
            line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' '))
        {
            counters.push(name);
        }
    }
    let mut out = String::with_capacity(text.len());
    for line in text
        .lines()
        .filter(|l| *l != "# EOF" && !l.starts_with("# UNIT "))
    {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what @ ("TYPE" | "HELP")), Some(name), Some(rest))
                if counters.contains(&name) =>
            {
                out.push_str(&format!("# {what} {name}_total {rest}\n"));
            }
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

/// What the keep counts for itself.
#[derive(Debug)]
struct FromKeep {
    keep: Keep,
    log: Option<AccessLog>,
}

impl Collector for FromKeep {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.counts(&mut encoder)?;
        self.upstreams(&mut encoder)?;
        if let Some(log) = self.keep.log_report() {
            own_log(&log, &mut encoder)?;
        }
        let (small, zips) = self.keep.flights();
        let gauges = [
            ("fetches_small", "Small files being fetched", small as i64),
            ("fetches_zip", "Zips being fetched", zips as i64),
        ];
        let totals = self.keep.totals().map(|kept| {
            [
                ("stored_files", "Files kept", kept.files as i64),
                ("stored_bytes", "Bytes of files kept", kept.bytes as i64),
                (
                    "unverified_files",
                    "Files kept that no checksum database has proved yet",
                    kept.unproved as i64,
                ),
            ]
        });
        for (name, help, value) in gauges.into_iter().chain(totals.into_iter().flatten()) {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

impl FromKeep {
    fn counts(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let c = self.keep.counters();
        let dropped = self.log.as_ref().map_or(0, AccessLog::dropped);
        for (name, help, value) in [
            ("kept_files", "Files kept since the start", c.kept.get()),
            (
                "kept_bytes",
                "Bytes of zips kept since the start",
                c.kept_bytes.get(),
            ),
            (
                "checks_failed",
                "Answers of upstreams refused by a check",
                c.check_failed.get(),
            ),
            (
                "damaged",
                "Stored files found damaged when read",
                c.damaged.get(),
            ),
            (
                "repaired",
                "Damaged files mended by a new fetch",
                c.repaired.get(),
            ),
            ("alarms", "Alarms raised", c.alarms.get()),
            (
                "log_heads_short",
                "Heads of our own log that did not get enough cosignatures in time",
                c.log_short.get(),
            ),
            (
                "log_appended",
                "Versions given to our own log; some had their record before",
                c.logged.get(),
            ),
            (
                "differs",
                "Answers of upstreams that differ from what is kept",
                c.differs.get(),
            ),
            (
                "look_ahead_asked",
                "Files asked for ahead of a client",
                c.ahead_asked.get(),
            ),
            (
                "look_ahead_brought",
                "Files brought ahead of a client",
                c.ahead_brought.get(),
            ),
            (
                "look_ahead_failed",
                "Files not to be had ahead of a client",
                c.ahead_failed.get(),
            ),
            (
                "look_ahead_dropped",
                "Files not asked for, because too many were waiting",
                c.ahead_dropped.get(),
            ),
            (
                "refreshed",
                "Lists and queries answered by an upstream",
                c.refreshed.get(),
            ),
            (
                "refresh_failed",
                "Lists and queries that no upstream answered",
                c.refresh_failed.get(),
            ),
            ("access_log_dropped", "Access log lines dropped", dropped),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(
                name,
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        Ok(())
    }

    fn upstreams(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let calls = self.keep.upstream_calls();
        let asked = ConstCounter::new(0u64);
        let mut family = encoder.encode_descriptor(
            "upstream_calls",
            "Questions to upstreams",
            None,
            asked.metric_type(),
        )?;
        for call in &calls {
            for (result, value) in [
                ("answered", call.asked.saturating_sub(call.failed)),
                ("failed", call.failed),
            ] {
                let labels = [("upstream", call.name.as_str()), ("result", result)];
                ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        let up = ConstGauge::new(0i64);
        let mut family = encoder.encode_descriptor(
            "upstream_up",
            "1 while an upstream is asked",
            None,
            up.metric_type(),
        )?;
        for status in self.keep.upstream_status() {
            let labels = [("upstream", status.name.as_str())];
            ConstGauge::new(i64::from(status.up)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn own_log(log: &LogReport, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
    let size = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let records = ConstGauge::new(size(log.records));
    records.encode(encoder.encode_descriptor(
        "log_records",
        "Records of our own log",
        None,
        records.metric_type(),
    )?)?;
    let Some(witnessing) = &log.witnessing else {
        return Ok(());
    };
    for (name, help, value) in [
        (
            "log_records_cosigned",
            "Records under the newest head with enough cosignatures",
            log.cosigned.unwrap_or(0),
        ),
        (
            "log_records_shown",
            "Records under the checkpoint that is shown",
            witnessing.shown,
        ),
    ] {
        let gauge = ConstGauge::new(size(value));
        gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
    }
    let asked = ConstCounter::new(0u64);
    let (name, help) = ("log_witness_calls", "Questions to witnesses");
    let mut family = encoder.encode_descriptor(name, help, None, asked.metric_type())?;
    for witness in &witnessing.witnesses {
        for (result, value) in [("cosigned", witness.answered), ("failed", witness.failed)] {
            let labels = [("witness", witness.name.as_str()), ("result", result)];
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
    }
    let up = ConstGauge::new(0i64);
    let (name, help) = (
        "log_witness_up",
        "0 while a witness did not cosign when it was asked last",
    );
    let mut family = encoder.encode_descriptor(name, help, None, up.metric_type())?;
    for witness in &witnessing.witnesses {
        let labels = [("witness", witness.name.as_str())];
        let up = i64::from(witness.trouble.is_none());
        ConstGauge::new(up).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
