//! A headless Chromium, and Playwright to drive it: what people see of a page, and not what we believe they see.

mod installation;

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::process::{Process, program};

/// Before every script: `launch()` starts a browser, and `args` are the script's arguments. A script that fails says why,
/// and ends.
const PRELUDE: &str = r#"
const launch = () => require("playwright-core").chromium.launch({ executablePath: process.env.CHROMIUM });
const args = process.argv.slice(1);
process.on("unhandledRejection", error => { console.error(error); process.exit(1); });
"#;

/// Node, Playwright and Chromium, of the machine where it has them. What it lacks is kept in `target/test-tools`.
#[derive(Debug)]
pub struct Browser {
    node: PathBuf,
    /// Where packages are.
    modules: PathBuf,
    chromium: PathBuf,
    /// What Chromium needs and the machine may lack.
    libraries: Option<PathBuf>,
}

/// The browser: `$H8S_CHROMIUM`, Chromium or Chrome on the `PATH`, or one that is fetched when it is first needed.
///
/// # Panics
///
/// When there is none and none can be had, with what was tried.
pub fn browser() -> &'static Browser {
    static BROWSER: OnceLock<Browser> = OnceLock::new();
    BROWSER.get_or_init(|| {
        installation::browser().unwrap_or_else(|why| {
            panic!(
                "The tests need a browser: {why}\n\
                 Install Chromium (Debian: `apt install chromium`) or say where it is in H8S_CHROMIUM; and Node.js with \
                 npm, or python3 with pip. npm must reach a registry with playwright-core."
            )
        })
    })
}

impl Browser {
    /// Starts a script in JavaScript (CommonJS, Playwright's API):
    /// `const page = await (await launch()).newPage();`, inside an async function. `args` are the arguments.
    ///
    /// # Panics
    ///
    /// When there is no tokio runtime.
    pub fn start_script(&self, script: &str, arguments: &[&str]) -> Process {
        let mut command = program(&self.node);
        command.env("NODE_PATH", &self.modules).env("CHROMIUM", &self.chromium);
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        Process::start(command.args(["-e", &format!("{PRELUDE}{script}"), "--"]).args(arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_is_drawn_and_its_script_runs() {
        let script = r#"(async () => {
            const browser = await launch();
            const page = await browser.newPage();
            await page.setContent("<p></p><script>document.querySelector('p').textContent = 6 * 7</script>");
            console.log(`${args[0]}: ${await page.textContent("p")}`);
            await browser.close();
        })()"#;

        let mut process = browser().start_script(script, &["answer"]);

        process.wait_for_line("answer: 42").await;
        assert!(process.wait_for_exit().await.success());
    }

    #[tokio::test]
    async fn a_script_that_fails_says_so() {
        let mut process =
            browser().start_script("(async () => { throw new Error(args[0]) })()", &["no luck"]);

        process.wait_for_line("Error: no luck").await;
        assert_eq!(process.wait_for_exit().await.code(), Some(1));
    }
}
