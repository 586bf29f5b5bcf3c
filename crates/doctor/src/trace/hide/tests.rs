//! What a bundle must not tell, in every spelling.

#![allow(clippy::unwrap_used)]
use super::*;
use serde_json::json;

fn facts(module: &str, os: Value, net: Value) -> Facts {
    let text = json!({
        "schema": "modkeep.facts/1",
        "asked": {"module": module, "version": "v1.0.0"},
        "env": {"os": os},
        "net": net,
    });
    Facts::parse(text.to_string().as_bytes()).unwrap()
}

fn net(host: &str, address: &str) -> Value {
    json!({"private": false, "steps": [{"what": "info", "tries": [{"place": "direct", "exchange": {
        "url": format!("https://{host}/x"),
        "hops": [{"url": format!("https://{host}/x"), "host": host, "port": 443,
            "dns": {"addresses": [address], "servers": [{"server": "10.0.0.53:53",
                "a": {"rcode": "NOERROR", "addresses": [address], "cnames": ["lb7.acme-cloud.example"]}}]},
            "tls": {"sni": host, "chain": [{"subject": "CN=x, O=Acme Holding", "issuer": "CN=Acme Root",
                "names": ["*.acme.example", "vpn.acme.example"], "sha256": "ab12cd34ef"}]},
            "http": {"status": 401, "headers": [["via", "1.1 gw07.acme.example (squid)"],
                ["www-authenticate", "Basic realm=\"Acme Artifacts\""]]}}]}}]}]})
}

fn hidden(facts: &Facts) -> Hidden {
    let here = Here {
        home: Some("/home/carol".into()),
        names: vec!["carol".into(), "build-host-7\n".into()],
        secrets: vec!["s3same+x".into()],
    };
    Hidden::of(facts, &here).unwrap()
}

#[track_caller]
fn none_of(text: &str, secrets: &[&str]) {
    for secret in secrets {
        assert!(
            !text.to_lowercase().contains(&secret.to_lowercase()),
            "{secret}: {text}"
        );
    }
}

#[test]
fn private_names_are_gone_in_every_spelling_and_stay_told_apart() {
    let os = json!({"GOPRIVATE": "*.corp.example,github.com/Secret-Org", "HOME": "/home/carol"});
    let facts = facts(
        "github.com/Secret-Org/Payments/v2",
        os,
        net("git.corp.example", "10.0.0.7"),
    );
    let shown = hidden(&facts).text(
        "GET https://github.com/!secret-!org/!payments/v2/@v/v1.0.0.info\n\
         github.com/Secret-Org/Payments/v2@v1.0.0: git@github.com:secret-org/payments.git payments_v2\n\
         https://git.corp.example/x /home/carol/project GOPRIVATE=*.corp.example proxy.golang.org\n\
         user carol at build-host-7, intern.wiki.corp.example, s3same+x",
    );
    none_of(
        &shown,
        &[
            "secret",
            "payments",
            "corp.example",
            "carol",
            "build-host",
            "s3same",
            "wiki",
        ],
    );
    for kept in [
        "github.com/private-1/v2",
        "proxy.golang.org",
        "@v/v1.0.0.info",
        "~/project",
        "***",
    ] {
        assert!(shown.contains(kept), "{kept}: {shown}");
    }
    assert_eq!(
        shown.matches("private-1/v2").count(),
        2,
        "one name, one word: {shown}"
    );
}

#[test]
fn what_a_hidden_server_says_about_itself_is_gone() {
    let facts = facts(
        "rsc.io/quote",
        json!({"GOPROXY": "https://athens.acme.example"}),
        net("athens.acme.example", "198.18.7.9"),
    );
    // Its address is public, but a login was asked for: nothing says that the name is.
    let os = json!({"GOPROXY": "https://athens.acme.example", "GOPRIVATE": "rsc.io/quote"});
    let private = Facts {
        env: Facts::parse(
            json!({"schema": "modkeep.facts/1", "env": {"os": os}})
                .to_string()
                .as_bytes(),
        )
        .unwrap()
        .env,
        ..facts
    };
    let mut hidden = hidden(&private);
    let document = hidden.facts(&private).to_string();
    none_of(
        &document,
        &[
            "acme",
            "198.18.7.9",
            "gw07",
            "artifacts",
            "vpn.",
            "ab12cd34ef",
            "10.0.0.53",
            "rsc.io",
        ],
    );
    let again = Facts::parse(document.as_bytes()).unwrap();
    assert_eq!(
        again.net.unwrap().steps[0].tries[0].exchange.status(),
        Some(401)
    );
}

#[test]
fn names_that_are_words_of_the_format_do_not_break_it() {
    for name in ["info", "http", "dns", "connect", "none", "modkeep"] {
        let os =
            json!({"GOPRIVATE": "git.corp.example", "GOPROXY": "https://u:info@p.example/info"});
        let facts = facts(
            &format!("git.corp.example/{name}/{name}"),
            os,
            net("git.corp.example", "10.0.0.7"),
        );
        let here = Here {
            secrets: vec![name.to_owned()],
            ..Here::default()
        };
        let mut hidden = Hidden::of(&facts, &here).unwrap();
        let again = Facts::parse(hidden.facts(&facts).to_string().as_bytes()).unwrap();
        let step = &again.net.unwrap().steps[0];
        assert_eq!(step.what, crate::net::What::Info, "{name}");
        assert_eq!(again.schema, "modkeep.facts/1");
    }
}

#[test]
fn hosts_of_settings_that_nobody_asked_are_gone_too() {
    let os = json!({
        "GOPROXY": "https://proxy.golang.org,athens.inside.example:3000/go,http://cache/x,direct",
        "HTTPS_PROXY": "http://squid.inside.example:3128", "NO_PROXY": ".lab.example,10.0.0.0/8,192.168.7.9,devbox",
        "GOSUMDB": "sum.inside.example+033de0ae+Ac4zctda0e5eza https://sum.inside.example/x",
        "JENKINS_URL": "https://ci.inside.example/",
    });
    let facts = facts("rsc.io/quote", os, json!({}));
    let shown = hidden(&facts).facts(&facts).to_string();
    none_of(
        &shown,
        &["inside.example", "lab.example", "192.168.7.9", "devbox"],
    );
    for kept in [
        "https://proxy.golang.org",
        "10.0.0.0/8",
        "rsc.io/quote",
        ":3128",
    ] {
        assert!(shown.contains(kept), "{kept}: {shown}");
    }
}

#[test]
fn tokens_are_known_by_their_look() {
    let mut hidden = hidden(&Facts::default());
    for token in [
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "glpat-abcdefghijklmnopqrst",
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefgh",
        "Authorization: Basic dXNlcjpwYXNz",
        "Bearer abcdefghijklmnop",
    ] {
        let shown = hidden.text(&format!("it said {token}, no"));
        assert_eq!(shown, "it said ***, no");
    }
}

#[test]
fn public_names_stay() {
    let facts = facts(
        "rsc.io/quote",
        json!({"GOPRIVATE": "*.corp.example"}),
        json!({}),
    );
    let mut hidden = hidden(&facts);
    let text = "https://proxy.golang.org/rsc.io/quote/@v/v1.0.0.zip from 142.250.1.2:443, 127.0.0.1:80, [::1]:1";
    assert_eq!(hidden.text(text), text);
    none_of(&hidden.text("https://git.corp.example/x"), &["corp"]);
}

#[test]
fn addresses_inside_become_others_of_inside() {
    let mut hidden = hidden(&Facts::default());
    let shown = hidden.text("10.1.2.3:53, 10.1.2.3, 100.64.9.9. fd12:3456::1 [fd12:3456::1]:53 172.20.0.9/16 12:30:45 v1.2.3");
    assert_eq!(
        shown,
        "10.0.0.1:53, 10.0.0.1, 10.0.0.2. fd00::3 [fd00::3]:53 172.20.0.9/16 12:30:45 v1.2.3"
    );
}
