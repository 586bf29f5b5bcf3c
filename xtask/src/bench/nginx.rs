//! nginx on loopback, in a directory of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::sh::{self, Running};

pub struct Nginx {
    pub url: String,
    running: Running,
}

impl Nginx {
    /// Serves the files below `root`.
    pub fn start(work: &Path, root: &Path) -> Result<Self> {
        let prefix = work.join("nginx");
        std::fs::create_dir_all(&prefix)?;
        let address = free_address()?;
        let file = prefix.join("nginx.conf");
        std::fs::write(&file, config(&prefix, root, address))?;
        let mut command = sh::command("nginx");
        command
            .arg("-p")
            .arg(&prefix)
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(prefix.join("error.log"));
        let mut running = Running::start(&mut command)?;
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = running.ended()? {
                bail!("nginx: {status}; its log is {}", prefix.display());
            }
            if begun.elapsed() > Duration::from_secs(10) {
                bail!("nginx does not listen on {address}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Self {
            url: format!("http://{address}"),
            running,
        })
    }

    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub fn stop(self) -> Result<()> {
        self.running.terminate(Duration::from_secs(10))
    }
}

fn config(prefix: &Path, root: &Path, address: SocketAddr) -> String {
    let prefix = prefix.display();
    // As root its workers would become a user that need not be able to read our files.
    let user = match rustix::process::geteuid().is_root() {
        true => "user root;",
        false => "",
    };
    format!(
        "{user}
daemon off;
worker_processes auto;
pid {prefix}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    default_type application/octet-stream;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    server {{
        listen {address};
        root \"{}\";
    }}
}}
",
        root.display()
    )
}

/// A port that was free a moment ago; nginx can not pick one itself.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
