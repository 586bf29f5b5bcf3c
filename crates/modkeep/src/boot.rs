//! Builds the graph once: settings -> store, client, chain -> keep.

use crate::config::{LogSetting, SumdbSetting, Typed};
use crate::exit::Failed;
use keep::{Database, Databases, Keep, OwnLog};
use ledger::{Ledger, LedgerError};
use server::AccessFormat;
use std::path::Path;
use std::sync::{Arc, Once};
use store::Store;
use tlog::note::Signer;
use tracing_subscriber::EnvFilter;
use upstream::vcs::{Direct, DirectSettings};
use upstream::{Chain, Entry, Net, Origin, Patience, Place, ProxyList, SumSource};

/// Opens the store and builds the keep over it.
pub fn keep(settings: &Typed) -> Result<Keep, Failed> {
    let store = Store::open(&settings.data).map_err(Failed::unknown)?;
    let net = Net::new(&settings.net).map_err(Failed::usage)?;
    let origin = origin(settings, &net, store.spool_dir())?;
    let chain = |list| Chain::new(net.clone(), list, origin.clone(), settings.patience);
    let (public, private) = (
        chain(settings.upstream.clone()),
        chain(Keep::private_upstreams()),
    );
    let databases = Databases {
        all: settings
            .sumdb
            .iter()
            .map(|d| database(d, &public, &chain))
            .collect::<Result<_, _>>()?,
        skip: settings.no_sumdb.clone(),
        own: own_log(settings)?,
        net: Some(net),
    };
    Ok(Keep::new(
        settings.keep.clone(),
        store,
        public,
        private,
        databases,
    ))
}

/// Our own log, made now if there is none yet.
fn own_log(settings: &Typed) -> Result<Option<OwnLog>, Failed> {
    let Some(name) = &settings.log.name else {
        return Ok(None);
    };
    let log = settings.log_setting();
    let (signer, _) = log.key.read_or_make(name).map_err(Failed::unknown)?;
    if signer.verifier().name() != name {
        return Err(Failed::usage(format!(
            "--log-name {name}: {} holds a key for {}",
            log.key,
            signer.verifier().name()
        )));
    }
    let options = own_log_options(settings, &log, signer);
    if options.witness.is_none() {
        tracing::warn!(
            sumdb.name = name,
            "no --log-witness-file: a restored backup would fork the log unnoticed"
        );
    }
    let ledger = match Ledger::open(options.clone()) {
        Err(LedgerError::Missing(_)) => Ledger::create(options),
        opened => opened,
    };
    let ledger = ledger.map_err(Failed::unknown)?;
    tracing::info!(
        sumdb.name = name,
        sumdb.records = ledger.reader().head().size,
        sumdb.key = %ledger.reader().key(),
        "our own checksum database"
    );
    Ok(Some(OwnLog::new(ledger, settings.log.witnesses.clone())))
}

/// How the log of the data directory is opened.
pub fn own_log_options(settings: &Typed, log: &LogSetting, signer: Signer) -> ledger::Options {
    ledger::Options {
        witness: log.witness.clone(),
        ..ledger::Options::new(settings.data.join("log"), signer)
    }
}

/// A checksum database: through the upstreams' relays, then itself; or at its address alone.
fn database(
    setting: &SumdbSetting,
    relays: &Chain,
    chain: &impl Fn(ProxyList) -> Chain,
) -> Result<Database, Failed> {
    let name = setting.verifier.name();
    let address = match &setting.url {
        Some(url) => url.to_string(),
        None => format!("https://{name}"),
    };
    let itself = ProxyList::parse(&address).map_err(Failed::usage)?;
    let relays = setting.url.is_none().then(|| relays.clone());
    Ok(Database::new(
        setting.verifier.clone(),
        SumSource::new(name, relays, chain(itself)),
    ))
}

/// Single upstreams by the settings, outside any keep: for commands that ask each one alone.
#[derive(Clone)]
pub struct Links {
    net: Net,
    origin: Origin,
    patience: Patience,
}

impl Links {
    /// `settings.data` is where clones and zips on their way lie; it must be there.
    pub fn new(settings: &Typed) -> Result<Self, Failed> {
        let net = Net::new(&settings.net).map_err(Failed::usage)?;
        let origin = origin(settings, &net, &settings.data)?;
        Ok(Self {
            net,
            origin,
            patience: settings.patience,
        })
    }

    /// One upstream alone.
    pub fn only(&self, place: Place) -> Chain {
        let entries = vec![Entry {
            place,
            on_any_error: false,
        }];
        Chain::new(
            self.net.clone(),
            ProxyList { entries },
            self.origin.clone(),
            self.patience,
        )
    }

    /// The HTTP client.
    pub fn net(&self) -> &Net {
        &self.net
    }
}

/// Version control, with its clones beside the store.
fn origin(settings: &Typed, net: &Net, scratch: &Path) -> Result<Origin, Failed> {
    let direct = Direct::new(
        DirectSettings {
            private: settings.keep.private.clone(),
            insecure: settings.vcs.insecure.clone(),
            vcs_rules: settings.vcs.rules.clone(),
            credentials: settings.vcs.credentials.clone(),
            offline: settings.keep.offline,
            ..DirectSettings::new(settings.data.join("vcs"))
        },
        Arc::new(net.clone()),
    );
    Ok(Origin::new(
        direct.map_err(Failed::unknown)?,
        scratch.into(),
    ))
}

/// Starts the event log on standard error.
pub fn event_log(settings: &Typed) -> Result<(), Failed> {
    let filter = EnvFilter::try_new(&settings.log_level)
        .map_err(|e| Failed::usage(format!("--log-level {:?}: {e}", settings.log_level)))?;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(settings.log_color)
            .with_writer(std::io::stderr);
        match settings.log_format {
            AccessFormat::Text => log.with_target(false).init(),
            AccessFormat::Json => log.json().flatten_event(true).init(),
        }
    });
    Ok(())
}

/// The runtime that everything runs on.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failed::unknown)
}
