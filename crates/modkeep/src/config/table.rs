//! Every setting of the server in one table: its flag, its environment variable, its key in the
//! file, its default and its help all come from here.

/// How a value looks on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One value.
    One,
    /// May be given several times; `;` separates values in the environment, a list in the file.
    Many,
    /// On when given.
    Switch,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The flag and the key; `MODKEEP_` and this in capitals is the environment variable.
    pub name: &'static str,
    /// What the value is, for help.
    pub value: &'static str,
    /// How often it may be given.
    pub shape: Shape,
    /// The default as it would be written; empty: none.
    pub default: &'static str,
    /// Whether the value must not be shown.
    pub secret: bool,
    /// Only for the server: other commands that open a store ignore it.
    pub server_only: bool,
    /// One line of help, unit included.
    pub help: &'static str,
}

const fn one(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        name,
        value,
        shape: Shape::One,
        default,
        secret: false,
        server_only: false,
        help,
    }
}

const fn server(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        name,
        value,
        shape: Shape::One,
        default,
        secret: false,
        server_only: true,
        help,
    }
}

const fn many(setting: Setting) -> Setting {
    Setting {
        shape: Shape::Many,
        ..setting
    }
}

const fn secret(setting: Setting) -> Setting {
    Setting {
        secret: true,
        ..setting
    }
}

const fn switch(name: &'static str, help: &'static str) -> Setting {
    Setting {
        name,
        value: "",
        shape: Shape::Switch,
        default: "",
        secret: false,
        server_only: false,
        help,
    }
}

/// All settings, the usual ones first.
pub const SETTINGS: &[Setting] = &[
    many(server(
        "listen",
        "ADDR",
        "127.0.0.1:8080",
        "Where to listen: HOST:PORT (port 0: any free one) or unix:PATH",
    )),
    one(
        "data",
        "DIR",
        "",
        "Everything kept [default: the user's data directory + /modkeep]",
    ),
    one(
        "upstream",
        "LIST",
        "https://proxy.golang.org,direct",
        "Whom to ask, in the go command's GOPROXY grammar: , | direct off http(s):// file://",
    ),
    one(
        "private",
        "PATTERNS",
        "",
        "Modules fetched direct and never named to a public upstream (GOPRIVATE grammar)",
    ),
    one(
        "insecure",
        "PATTERNS",
        "",
        "Modules that may be discovered over plain HTTP (GOINSECURE grammar)",
    ),
    one(
        "vcs",
        "RULES",
        "private:all,public:git|hg",
        "Which version control may be run for which modules (GOVCS grammar)",
    ),
    one(
        "credentials",
        "FILE",
        "",
        "Credentials for version control hosts: lines of PREFIX USER SECRET",
    ),
    many(one(
        "sumdb",
        "SPEC",
        "sum.golang.org",
        "Checksum database to relay and to check with (GOSUMDB grammar): NAME, NAME+KEY, \"NAME+KEY URL\", or off",
    )),
    one(
        "no-sumdb",
        "PATTERNS",
        "",
        "Modules no checksum database is asked about (GONOSUMDB grammar) [default: the value of --private]",
    ),
    one(
        "verify",
        "available|strict",
        "available",
        "While no checksum database answers: serve marked unverified and check later, or refuse",
    ),
    one(
        "verify-again",
        "TIME",
        "1m",
        "How often what could not be proved when it came is tried again",
    ),
    one(
        "log-name",
        "NAME",
        "",
        "Run an own checksum database under this name (see modkeep log)",
    ),
    one(
        "log-key",
        "KEY",
        "",
        "Its private key: FILE, env:VARIABLE or cmd:COMMAND [default: log.key in the data directory]",
    ),
    one(
        "log-witness-file",
        "FILE",
        "",
        "Second place of its last signed head, best on another disk: keeps a restored backup from forking it",
    ),
    many(one(
        "log-witness",
        "\"KEY URL\"",
        "",
        "A witness that is asked to cosign its heads: NAME+HASH+KEY and where it is reached (see modkeep witness)",
    )),
    one(
        "log-quorum",
        "N",
        "",
        "So many of the witnesses have to cosign a head [default: more than half]",
    ),
    one(
        "log-witness-timeout",
        "TIME",
        "5s",
        "How long a head may take to get them",
    ),
    one(
        "log-witness-policy",
        "open|closed",
        "open",
        "A head that lacks them: show it all the same and raise an alarm, or show nothing of it",
    ),
    secret(one(
        "alarm-webhook",
        "URL",
        "",
        "Alarms are posted here as JSON",
    )),
    switch("offline", "Dial nobody; serve what is kept"),
    one(
        "look-ahead",
        "on|off",
        "on",
        "Fetch the small files that a go command will ask next",
    ),
    one(
        "fresh",
        "TIME",
        "1m",
        "How long lists, @latest and branch queries are fresh; older ones are refreshed in the background",
    ),
    one(
        "not-found",
        "TIME",
        "1m",
        "How long \"not found\" is remembered",
    ),
    one(
        "answer-timeout",
        "TIME",
        "30s",
        "Every client is answered within this time",
    ),
    one(
        "upstream-timeout",
        "TIME",
        "25s",
        "An upstream must begin to answer within this time",
    ),
    one(
        "crawl-time",
        "TIME",
        "20s",
        "An upstream that brings less than 1 KiB/s for this time is given up",
    ),
    many(one(
        "ca",
        "FILE",
        "",
        "Certificates to trust besides the system's (PEM)",
    )),
    one("memory", "SIZE", "16MiB", "Memory for small files"),
    server(
        "tls-cert",
        "FILE",
        "",
        "Serve HTTPS with this certificate chain (PEM), reloaded when it changes",
    ),
    server("tls-key", "FILE", "", "The certificate's private key (PEM)"),
    server(
        "prefix",
        "PATH",
        "/",
        "Base path when behind another server",
    ),
    server(
        "access-log",
        "FILE",
        "off",
        "One line for each request: a file, - for stderr, or off",
    ),
    one(
        "log-format",
        "text|json",
        "text",
        "How access and event logs look",
    ),
    one(
        "log-level",
        "LEVEL",
        "info",
        "error, warn, info, debug or trace; a tracing filter such as upstream=debug works too",
    ),
    server("connections", "N", "4096", "Connections at once; more wait"),
    server(
        "client-timeout",
        "TIME",
        "60s",
        "A client must send a request, and take something of its answer, within this time",
    ),
    server(
        "grace",
        "TIME",
        "20s",
        "Time for running requests to finish after the signal to stop",
    ),
    server(
        "admin-token-file",
        "FILE",
        "",
        "Who changes things through the API must show this token; without it only this machine may",
    ),
];

/// The environment variable of a setting.
pub fn env_name(name: &str) -> String {
    format!("MODKEEP_{}", name.to_ascii_uppercase().replace('-', "_"))
}
