//! `udas report --serve`: a page over HTTP on this machine alone, made anew for every visit.
use crate::console::Console;
use crate::{failure, interrupt};
use anyhow::Result;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;
use tiny_http::{Header, Response, Server};

/// Seconds after which a browser asks again.
const REFRESH: &str = "10";
/// How long a wait for a visit lasts before Ctrl-C is heard.
const PATIENCE: Duration = Duration::from_millis(300);

/// Serves the page that `make` writes, until Ctrl-C.
pub fn serve(port: u16, console: &Console, make: impl Fn() -> Result<PathBuf>) -> Result<()> {
    let server = Server::http((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
        failure::usage(&format!("--serve {port}: {error}; choose another port, or 0 for any"))
    })?;
    let address = server.server_addr();
    console
        .result(format!("http://{address}/"), &serde_json::json!({ "url": address.to_string() }))?;
    console.say("open it in a browser on this machine; Ctrl-C ends it");
    interrupt::flag();
    while !interrupt::asked() {
        let Some(request) = server.recv_timeout(PATIENCE)? else { continue };
        let page = make().and_then(|path| Ok(std::fs::read_to_string(path)?));
        let (text, code, kind) = match page {
            Ok(page) => (page, 200, "text/html; charset=utf-8"),
            Err(error) => (failure::describe(&error), 500, "text/plain; charset=utf-8"),
        };
        let mut response = Response::from_string(text).with_status_code(code);
        for (name, value) in [("Content-Type", kind), ("Refresh", REFRESH)] {
            if let Ok(header) = Header::from_bytes(name, value) {
                response.add_header(header);
            }
        }
        // Who has gone away needs no answer.
        let _ = request.respond(response);
    }
    Ok(())
}
