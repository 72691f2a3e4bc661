// Two tabs of a chat. Arguments: its address, and the text that the test will push.
(async () => {
  const [url, pushed] = args;
  const browser = await launch();
  const context = await browser.newContext();
  context.setDefaultTimeout(30_000);
  let sockets = 0;

  async function open() {
    const tab = await context.newPage();
    tab.on("websocket", () => (sockets += 1));
    tab.on("pageerror", error => console.error(error));
    await tab.goto(url);
    await tab.locator("button:enabled").waitFor();
    return tab;
  }

  async function say(tab, text) {
    await tab.locator("input").fill(text);
    await tab.locator("button").click();
    await seen(text);
  }

  async function seen(text) {
    for (const tab of tabs) await tab.locator("li", { hasText: text }).first().waitFor();
    console.log(`both have seen: ${text}`);
  }

  const tabs = [await open(), await open()];
  await say(tabs[0], "one says this");
  await say(tabs[1], "the other says that");
  console.log(`waiting for: ${pushed}`);
  await seen(pushed);
  await say(tabs[0], "one goes on");
  await say(tabs[1], "the other goes on");
  // The page opens a new one when it loses its own.
  console.log(`${sockets} WebSockets in all`);
  await browser.close();
})();
