//! The start-up message on standard output: what to do next, as text, or all addresses, as JSON.

use std::io::{IsTerminal, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use h8s_settings::{LogFormat, may_colour};

use super::flags::Dev;
use super::placement::Placement;

/// The contents of the message.
#[derive(Debug)]
pub(crate) struct Banner<'a> {
    pub(crate) address: SocketAddr,
    /// The URL of NATS, without passwords.
    pub(crate) nats_url: &'a str,
    /// Whether NATS is the embedded broker.
    pub(crate) is_embedded: bool,
    pub(crate) lines: &'a [Line<'a>],
}

/// A served component.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) placement: &'a Placement,
    pub(crate) has_http: bool,
    pub(crate) has_websockets: bool,
}

impl Banner<'_> {
    /// Prints it in the format of the flags. A closed standard output is not an error.
    pub(crate) fn print(&self, flags: &Dev) {
        let mut out = std::io::stdout();
        let text = match (flags.log_format, flags.quiet) {
            (LogFormat::Json, _) => self.json(),
            (LogFormat::Text, true) => self.url(),
            (LogFormat::Text, false) => self.text(Style::of(&out)),
        };
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn json(&self) -> String {
        let served = |line: &Line<'_>| {
            serde_json::json!({
                "path": line.placement.path.to_string(),
                "component": line.placement.name,
                "file": line.placement.file.display().to_string(),
                "http": line.has_http,
                "websockets": line.has_websockets,
            })
        };
        let ready = serde_json::json!({
            "event": "ready",
            "url": self.url(),
            "nats_url": self.nats_url,
            "embedded_broker": self.is_embedded,
            "served": self.lines.iter().map(served).collect::<Vec<_>>(),
        });
        ready.to_string()
    }

    fn text(&self, style: Style) -> String {
        let Style { strong, faint, plain } = style;
        let url = self.url();
        let mut lines = vec![format!("{strong}h8s dev{plain} is at {strong}{url}{plain}"), String::new()];
        let paths: Vec<String> = self.lines.iter().map(|line| line.placement.path.to_string()).collect();
        let width = paths.iter().map(|path| path.chars().count()).max().unwrap_or(0);
        for (path, line) in paths.iter().zip(self.lines) {
            let (file, how) = (from_here(&line.placement.file), line.how());
            lines.push(format!("  {path:width$}  {faint}{}{how}{plain}", file.display()));
        }
        lines.push(String::new());
        let nats = self.nats_url;
        if !self.is_embedded {
            lines.push(format!("  NATS   {nats} (--nats-url; no embedded broker)"));
        }
        let first = |of: fn(&Line<'_>) -> bool| {
            let served = self.lines.iter().find(|line| of(line));
            served.map(|line| example(&line.placement.path.to_string()).to_owned())
        };
        lines.extend(first(|line| line.has_http).map(|path| format!("  Call   curl {url}{path}")));
        let address = self.address;
        lines.extend(first(|line| line.has_websockets).map(|path| format!("  Open   ws://{address}{path}")));
        lines.push(format!("  Watch  nats sub 'h8s.>' -s {nats}"));
        lines.push("  Stop   Ctrl-C".into());
        lines.join("\n")
    }
}

impl Line<'_> {
    /// What follows the file name: nothing for HTTP only.
    fn how(&self) -> &'static str {
        match (self.has_http, self.has_websockets) {
            (_, false) => "",
            (true, true) => " and WebSockets",
            (false, true) => " (WebSockets only)",
        }
    }
}

/// A path relative to the current directory, if it is below it.
fn from_here(file: &Path) -> PathBuf {
    let here = std::env::current_dir().ok().and_then(|here| file.strip_prefix(here).ok().map(PathBuf::from));
    here.unwrap_or_else(|| file.to_owned())
}

/// A path that matches the pattern.
fn example(pattern: &str) -> &str {
    match pattern.strip_suffix("/*") {
        Some("") => "/",
        Some(prefix) => prefix,
        None => pattern,
    }
}

/// Escape sequences, or empty strings.
#[derive(Clone, Copy, Debug)]
struct Style {
    strong: &'static str,
    faint: &'static str,
    plain: &'static str,
}

impl Style {
    const NONE: Self = Self { strong: "", faint: "", plain: "" };
    const ANSI: Self = Self { strong: "\x1b[1m", faint: "\x1b[2m", plain: "\x1b[0m" };

    fn of(stream: &impl IsTerminal) -> Self {
        if may_colour(stream) { Self::ANSI } else { Self::NONE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(path: &str, name: &str) -> Placement {
        Placement { path: path.parse().unwrap(), file: format!("{name}.wasm").into(), name: name.into() }
    }

    fn line(placement: &Placement) -> Line<'_> {
        Line { placement, has_http: true, has_websockets: false }
    }

    fn banner<'a>(lines: &'a [Line<'a>], is_embedded: bool) -> Banner<'a> {
        let address = "127.0.0.1:8080".parse().unwrap();
        Banner { address, nats_url: "nats://127.0.0.1:4222", is_embedded, lines }
    }

    #[test]
    fn the_text_shows_what_to_do_next() {
        let placements = [placement("/hello/*", "hello"), placement("/e", "echo")];
        let placements = placements.each_ref().map(line);

        let text = banner(&placements, true).text(Style::NONE);

        let expected = "\
h8s dev is at http://127.0.0.1:8080

  /hello/*  hello.wasm
  /e        echo.wasm

  Call   curl http://127.0.0.1:8080/hello
  Watch  nats sub 'h8s.>' -s nats://127.0.0.1:4222
  Stop   Ctrl-C";
        assert_eq!(text, expected);
        assert!(!banner(&placements, true).text(Style::NONE).contains('\x1b'));
        assert!(banner(&placements, true).text(Style::ANSI).contains("\x1b[1mhttp://127.0.0.1:8080\x1b[0m"));
    }

    #[test]
    fn the_text_shows_where_websockets_are() {
        let placements = [placement("/chat/*", "chat"), placement("/echo", "websocket_echo")];
        let [chat, echo] = placements.each_ref().map(line);
        let lines =
            [Line { has_websockets: true, ..chat }, Line { has_http: false, has_websockets: true, ..echo }];

        let text = banner(&lines, true).text(Style::NONE);

        assert!(text.contains("  /chat/*  chat.wasm and WebSockets\n"), "{text}");
        assert!(text.contains("  /echo    websocket_echo.wasm (WebSockets only)\n"), "{text}");
        assert!(text.contains("  Open   ws://127.0.0.1:8080/chat\n"), "{text}");
    }

    #[test]
    fn the_text_names_the_configured_nats() {
        let placements = [placement("/*", "hello")];
        let placements = placements.each_ref().map(line);

        let text = banner(&placements, false).text(Style::NONE);

        assert!(text.contains("nats://127.0.0.1:4222 (--nats-url; no embedded broker)"), "{text}");
        assert!(text.contains("curl http://127.0.0.1:8080/\n"), "{text}");
    }

    #[test]
    fn json_is_one_object() {
        let placements = [placement("/*", "hello")];
        let placements = placements.each_ref().map(line);

        let json: serde_json::Value = serde_json::from_str(&banner(&placements, true).json()).unwrap();

        assert_eq!(json["url"], "http://127.0.0.1:8080");
        assert_eq!((&json["event"], &json["embedded_broker"]), (&"ready".into(), &true.into()));
        assert_eq!(json["served"][0]["path"], "/*");
        assert_eq!(json["served"][0]["component"], "hello");
    }
}
