//! A headless Chromium driven by Playwright, for tests of what a browser makes of a page.

use super::process::{Process, program};
use crate::tools::browser::{Installation, installation};

/// Precedes every script: `launch()` starts a browser, and `args` are the script's arguments. A script that fails prints
/// the error and exits.
const PRELUDE: &str = r#"
const launch = () => require("playwright-core").chromium.launch({ executablePath: process.env.CHROMIUM });
const args = process.argv.slice(1);
process.on("unhandledRejection", error => { console.error(error); process.exit(1); });
"#;

/// Node.js, Playwright and Chromium: the machine's, or fetched into `target/test-tools`.
#[derive(Debug)]
pub struct Browser(&'static Installation);

/// The browser: `$H8S_CHROMIUM`, Chromium or Chrome on the `PATH`, or one that is fetched when it is first needed.
///
/// # Panics
///
/// When there is none and none can be fetched, with what was tried.
pub fn browser() -> Browser {
    Browser(installation().unwrap_or_else(|why| {
        panic!(
            "The tests need a browser: {why}\n\
             Install Chromium (Debian: `apt install chromium`) or set H8S_CHROMIUM to its path; and Node.js with \
             npm, or python3 with pip. npm must reach a registry with playwright-core."
        )
    }))
}

impl Browser {
    /// Starts a script in JavaScript (CommonJS, Playwright's API):
    /// `const page = await (await launch()).newPage();`, inside an async function. `args` are the arguments.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start_script(&self, script: &str, arguments: &[&str]) -> Process {
        let Installation { node, modules, chromium, libraries } = self.0;
        let mut command = program(node);
        command.env("NODE_PATH", modules).env("CHROMIUM", chromium);
        if let Some(libraries) = libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        Process::start(command.args(["-e", &format!("{PRELUDE}{script}"), "--"]).args(arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tool, needs};

    #[tokio::test]
    async fn a_page_is_drawn_and_its_script_runs() {
        needs!(Tool::Browser);
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
    async fn a_script_that_fails_prints_its_error() {
        needs!(Tool::Browser);
        let mut process =
            browser().start_script("(async () => { throw new Error(args[0]) })()", &["no luck"]);

        process.wait_for_line("Error: no luck").await;
        assert_eq!(process.wait_for_exit().await.code(), Some(1));
    }
}
