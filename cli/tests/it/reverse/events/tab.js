// A tab with events. Arguments: the page's address, and the text of the last event.
(async () => {
  const [url, last] = args;
  const browser = await launch();
  const tab = await browser.newPage();
  tab.on("pageerror", error => console.error(error));
  await tab.exposeFunction("seen", text => console.log(`seen: ${text}`));
  await tab.addInitScript(() => {
    document.addEventListener("DOMContentLoaded", () => {
      const look = () => {
        for (const item of document.querySelectorAll("li:not(.seen)")) {
          item.classList.add("seen");
          window.seen(item.textContent);
        }
      };
      new MutationObserver(look).observe(document.querySelector("ul"), { childList: true });
      look();
    });
  });
  await tab.goto(url);
  await tab.locator("li", { hasText: last }).waitFor({ timeout: 60_000 });
  await tab.close();
  console.log("closed the tab");
  await browser.close();
  console.log("and the browser");
})();
