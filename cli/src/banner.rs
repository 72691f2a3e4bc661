//! What is said at start, on standard output: to a person what to do next, to a program where everything is.

use std::io::{IsTerminal, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use h8s_settings::{LogFormat, may_colour};

use crate::flags::Dev;
use crate::placement::Placement;

/// What there is to tell.
#[derive(Debug)]
pub(crate) struct Banner<'a> {
    pub(crate) address: SocketAddr,
    /// Where NATS is, without passwords.
    pub(crate) nats_url: &'a str,
    /// Whether NATS is part of this process.
    pub(crate) is_embedded: bool,
    pub(crate) placements: &'a [Placement],
}

impl Banner<'_> {
    /// Says it as the flags want it. That nobody listens is no reason to stop.
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
        let served = |placement: &Placement| {
            serde_json::json!({
                "path": placement.path.to_string(),
                "component": placement.name,
                "file": placement.file.display().to_string(),
            })
        };
        let ready = serde_json::json!({
            "event": "ready",
            "url": self.url(),
            "nats_url": self.nats_url,
            "embedded_broker": self.is_embedded,
            "served": self.placements.iter().map(served).collect::<Vec<_>>(),
        });
        ready.to_string()
    }

    fn text(&self, style: Style) -> String {
        let Style { strong, faint, plain } = style;
        let url = self.url();
        let mut lines = vec![format!("{strong}h8s dev{plain} is at {strong}{url}{plain}"), String::new()];
        let paths: Vec<String> = self.placements.iter().map(|placement| placement.path.to_string()).collect();
        let width = paths.iter().map(|path| path.chars().count()).max().unwrap_or(0);
        for (path, placement) in paths.iter().zip(self.placements) {
            lines.push(format!("  {path:width$}  {faint}{}{plain}", from_here(&placement.file).display()));
        }
        lines.push(String::new());
        let nats = self.nats_url;
        if !self.is_embedded {
            lines.push(format!("  NATS   {nats}, as you said: none was started"));
        }
        let first = paths.first().map_or("/", |path| example(path));
        lines.push(format!("  Call   curl {url}{first}"));
        lines.push(format!("  Watch  nats sub 'h8s.>' -s {nats}"));
        lines.push("  Stop   Ctrl-C".into());
        lines.join("\n")
    }
}

/// A file as one would type it here.
fn from_here(file: &Path) -> PathBuf {
    let here = std::env::current_dir().ok().and_then(|here| file.strip_prefix(here).ok().map(PathBuf::from));
    here.unwrap_or_else(|| file.to_owned())
}

/// A path that the pattern covers.
fn example(pattern: &str) -> &str {
    match pattern.strip_suffix("/*") {
        Some("") => "/",
        Some(prefix) => prefix,
        None => pattern,
    }
}

/// Escape sequences, or nothing.
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

    fn banner(placements: &[Placement], is_embedded: bool) -> Banner<'_> {
        let address = "127.0.0.1:8080".parse().unwrap();
        Banner { address, nats_url: "nats://127.0.0.1:4222", is_embedded, placements }
    }

    #[test]
    fn a_person_learns_what_to_do_next() {
        let placements = [placement("/hello/*", "hello"), placement("/e", "echo")];

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
    fn that_no_broker_was_started_is_said() {
        let placements = [placement("/*", "hello")];

        let text = banner(&placements, false).text(Style::NONE);

        assert!(text.contains("nats://127.0.0.1:4222, as you said: none was started"), "{text}");
        assert!(text.contains("curl http://127.0.0.1:8080/\n"), "{text}");
    }

    #[test]
    fn a_program_gets_one_object() {
        let placements = [placement("/*", "hello")];

        let json: serde_json::Value = serde_json::from_str(&banner(&placements, true).json()).unwrap();

        assert_eq!(json["url"], "http://127.0.0.1:8080");
        assert_eq!((&json["event"], &json["embedded_broker"]), (&"ready".into(), &true.into()));
        assert_eq!(json["served"][0]["path"], "/*");
        assert_eq!(json["served"][0]["component"], "hello");
    }
}
