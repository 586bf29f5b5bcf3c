//! The names of the go command's settings.

/// Names that the go command knows, from `internal/cfg.KnownEnv` of Go 1.27, and those of older
/// releases that may still be set without harm.
const KNOWN: &[&str] = &[
    "AR",
    "CC",
    "CGO_CFLAGS",
    "CGO_CFLAGS_ALLOW",
    "CGO_CFLAGS_DISALLOW",
    "CGO_CPPFLAGS",
    "CGO_CPPFLAGS_ALLOW",
    "CGO_CPPFLAGS_DISALLOW",
    "CGO_CXXFLAGS",
    "CGO_CXXFLAGS_ALLOW",
    "CGO_CXXFLAGS_DISALLOW",
    "CGO_ENABLED",
    "CGO_FFLAGS",
    "CGO_FFLAGS_ALLOW",
    "CGO_FFLAGS_DISALLOW",
    "CGO_LDFLAGS",
    "CGO_LDFLAGS_ALLOW",
    "CGO_LDFLAGS_DISALLOW",
    "CXX",
    "FC",
    "GCCGO",
    "GO111MODULE",
    "GO386",
    "GOAMD64",
    "GOARCH",
    "GOARM",
    "GOARM64",
    "GOAUTH",
    "GOBIN",
    "GOCACHE",
    "GOCACHEPROG",
    "GOENV",
    "GOEXE",
    "GOEXPERIMENT",
    "GOFIPS140",
    "GOFLAGS",
    "GOGCCFLAGS",
    "GOHOSTARCH",
    "GOHOSTOS",
    "GOINSECURE",
    "GOMIPS",
    "GOMIPS64",
    "GOMODCACHE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOOS",
    "GOPATH",
    "GOPPC64",
    "GOPRIVATE",
    "GOPROXY",
    "GORISCV64",
    "GOROOT",
    "GOSUMDB",
    "GOTMPDIR",
    "GOTOOLCHAIN",
    "GOTOOLDIR",
    "GOVCS",
    "GOWASM",
    "GOWORK",
    "GO_EXTLINK_ENABLED",
    "PKG_CONFIG",
];

/// Variables that begin with GO and belong to the Go runtime, the go command's parts or well-known
/// tools: known, though no settings of `go env`.
const RUNTIME: &[&str] = &[
    "GOGC",
    "GOMAXPROCS",
    "GOMEMLIMIT",
    "GODEBUG",
    "GOTRACEBACK",
    "GORACE",
    "GOCOVERDIR",
    "GOSSAFUNC",
    "GOSSADIR",
    "GOHOSTARCH",
    "GOROOT_FINAL",
    "GOROOT_BOOTSTRAP",
    "GOMOD",
    "GOVERSION",
    "GOTELEMETRY",
    "GOTELEMETRYDIR",
    "GOPACKAGESDRIVER",
    "GOPLSCACHE",
    "GOLANG_VERSION",
    "GOPATH_1",
    "GODEFS",
    "GO_GCFLAGS",
    "GO_LDFLAGS",
    "GO_DISTFLAGS",
    "GO_TEST_TIMEOUT_SCALE",
    "GO_BUILDER_NAME",
    "GOTOOLCHAIN_INTERNAL_SWITCH_VERSION",
    "GOTOOLCHAIN_INTERNAL_SWITCH_COUNT",
];

/// Whether the go command knows this name.
pub fn is_known(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// Whether the name is no setting of `go env` but known to the Go runtime or its tools.
pub fn is_runtime(name: &str) -> bool {
    RUNTIME.contains(&name)
}

/// Every name the go command knows.
pub fn known() -> &'static [&'static str] {
    KNOWN
}
