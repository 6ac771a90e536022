//! Behind Debian's nginx, with `deploy/nginx.conf` as it is but for names, ports and files. Skipped where there is none.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::support::{Chat, Running, World, hobnob};

/// From where nginx calls the server: another address than that of the clients.
const PROXY: &str = "127.0.0.2";

/// nginx before a server.
struct Proxy<'a> {
    world: &'a World,
    port: u16,
    process: Option<Running>,
}

impl<'a> Proxy<'a> {
    /// `None`: there is no nginx here.
    fn start(world: &'a World) -> Option<Self> {
        let nginx = Command::new("nginx").env("PATH", path()).arg("-v").stderr(Stdio::null()).status();
        if nginx.is_err() {
            println!("skipped: there is no nginx");
            return None;
        }
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        make_certificates(&world.path(""));
        let mut proxy = Self { world, port: address.port(), process: None };
        fs::write(world.path("site.conf"), proxy.site()).unwrap();
        fs::write(world.path("nginx.conf"), proxy.main()).unwrap();
        proxy.begin();
        Some(proxy)
    }

    fn begin(&mut self) {
        let mut command = Command::new("nginx");
        command
            .env("PATH", path())
            .arg("-p")
            .arg(self.world.path(""))
            .arg("-c")
            .arg(self.world.path("nginx.conf"));
        let process = Running::start(command, self.world.path("nginx.log"));
        // The last of what it says when it listens.
        process.expect("getrlimit(RLIMIT_NOFILE)");
        self.process = Some(process);
    }

    /// What `deploy` has, with what anybody has to change in it changed.
    fn site(&self) -> String {
        let mut site = include_str!("../../../../deploy/nginx.conf").to_owned();
        let file = |name| self.world.path(name).display().to_string();
        for (theirs, ours) in [
            ("server 127.0.0.1:4000;", format!("server {};", self.world.address())),
            ("listen 443 ssl;", format!("listen 127.0.0.1:{} ssl;", self.port)),
            ("    listen [::]:443 ssl;\n", String::new()),
            ("proxy_buffering off;", format!("proxy_buffering off; proxy_bind {PROXY};")),
            ("/etc/letsencrypt/live/chat.example.org/fullchain.pem", file("certificate.pem")),
            ("/etc/letsencrypt/live/chat.example.org/privkey.pem", file("key.pem")),
        ] {
            assert!(site.contains(theirs), "deploy/nginx.conf has no {theirs}");
            site = site.replace(theirs, &ours);
        }
        site
    }

    fn main(&self) -> String {
        let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {}; ", self.world.path(name).display()))
            .concat();
        let pid = self.world.path("nginx.pid");
        format!(
            "daemon off; master_process off; pid {}; error_log /dev/stdout notice;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; {folders} include site.conf; }}\n",
            pid.display()
        )
    }

    fn chat(&self, name: &str) -> Chat {
        let mut command = hobnob(&self.world.path("home"));
        command.args(["chat", &format!("localhost:{}", self.port), "--relay-only", "--data"]);
        command.arg(self.world.path(name)).env("SSL_CERT_FILE", self.world.path("root.pem"));
        let chat = Chat::start(command, self.world.path(&format!("{name}.log")));
        chat.logs_in(name, &format!("{name}-secret"));
        chat.sees(crate::support::WELCOME);
        chat
    }
}

/// Debian keeps nginx where only root looks.
fn path() -> String {
    format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default())
}

/// A root that the clients trust, and a certificate of it for the proxy.
fn make_certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().unwrap();
    let root = params.self_signed(&root_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &Issuer::from_params(&params, &root_key)).unwrap();
    fs::write(folder.join("root.pem"), root.pem()).unwrap();
    fs::write(folder.join("certificate.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}

#[test]
fn chat_and_relayed_talk_go_through_nginx_and_survive_its_restart() {
    let world = World::with(&["--tls", "off", "--trusted-proxy", PROXY]);
    let Some(mut proxy) = Proxy::start(&world) else { return };
    let (hans, yoda) = (proxy.chat("hans"), proxy.chat("yoda"));
    hans.sees("yoda logged in");
    hans.types("message yoda through nginx");
    yoda.sees("hans: through nginx");

    let mut admin = hobnob(&world.path("home"));
    admin.args(["admin", "sessions", "--json", "--data"]).arg(world.path("server"));
    let sessions = String::from_utf8(admin.output().unwrap().stdout).unwrap();
    assert_eq!(
        sessions.matches("\"127.0.0.1\"").count(),
        2,
        "both are known by their own address: {sessions}"
    );

    hans.types("startprivate yoda");
    yoda.is_asked("hans would like to private message, enter y or n: ");
    yoda.types("y");
    hans.sees("yoda accepts private messaging");
    hans.types("private yoda over the relay");
    yoda.sees("hans(private): over the relay");

    drop(proxy.process.take());
    hans.sees("Lost the connection to the server, trying again");
    proxy.begin();
    hans.sees("Connected again");
    hans.types("message yoda again");
    hans.types("private yoda relayed again");
    yoda.sees_all(&["hans: again", "hans(private): relayed again"]);
    hans.leaves();
    yoda.leaves();
}
