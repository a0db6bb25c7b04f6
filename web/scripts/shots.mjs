/** Pictures of every page against the mock server, into the folder that is given. */

import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const web = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = process.argv[2] ?? "shots";
mkdirSync(folder, { recursive: true });
const mock = spawn(process.execPath, [join(web, "mock", "server.mjs")], { stdio: ["ignore", "pipe", "inherit"] });
const link = await new Promise((resolve) => mock.stdout.once("data", (data) => resolve(String(data).split("\n")[0])));
const url = link.split("/#")[0];
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  page.on("console", (message) => { if (message.type() === "error") console.error("console:", message.text()); });
  page.on("pageerror", (error) => console.error("page:", error.message));
  const shot = (name) => page.screenshot({ path: join(folder, `${name}.png`) });
  await page.goto(link);
  await shot("01-setup");
  await page.fill("[name=password]", "short");
  await page.click("[type=submit]");
  await page.getByText("At least 8 characters.", { exact: true }).waitFor();
  await shot("02-setup-error");
  await page.fill("[name=password]", "a mirage at noon");
  await page.fill("[name=repeat]", "a mirage at noon");
  await page.click("[type=submit]");
  await page.getByTestId("decky-web-01").waitFor();
  await shot("03-maze-quiet");
  await fetch(`${url}/mock/visit?service=http&from=203.0.113.7&stay=1`);
  await fetch(`${url}/mock/visit?service=ssh&decky=edge-ops&from=198.51.100.23&stay=1`);
  await page.getByTestId("feed").getByText("wget").first().waitFor();
  await shot("04-maze-live");
  await page.getByTestId("decky-files").getByTestId("rotate").click();
  await page.locator("[data-op=rotate_decky][data-state=applied]").waitFor();
  await page.getByTestId("add-decky").click();
  await page.fill("[name=name]", "Bad Name");
  await page.getByRole("dialog").getByRole("button", { name: "Add decky" }).click();
  await shot("05-add-decky");
  await page.fill("[name=name]", "cursed");
  await page.getByRole("dialog").getByRole("button", { name: "Add decky" }).click();
  await page.locator("[data-op=add_decky][data-state=failed]").waitFor();
  await shot("06-mutations");
  for (const [width, mark] of [[1280, "wide"], [400, "narrow"]]) {
    await page.setViewportSize({ width, height: 860 });
    for (const [name, open] of dialogs()) {
      await open();
      await shot(`20-${name}-${mark}`);
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.getByTestId("decky-files").getByTestId("remove").click();
  await shot("07-confirm");
  await page.keyboard.press("Escape");
  await page.getByTestId("create-topology").click();
  await shot("08-create");
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("f");
  await page.getByRole("heading", { name: "Live feed" }).waitFor();
  await shot("09-feed");
  await page.getByTestId("feed").getByRole("link", { name: "ssh session" }).first().click();
  await page.getByTestId("session-view").waitFor();
  await page.getByText("wget").waitFor();
  await shot("10-session");
  await page.goto(`${url}/#/attackers`);
  await page.getByTestId("attackers").waitFor();
  await shot("11-attackers");
  await page.getByRole("link", { name: "198.51.100.23" }).click();
  await page.getByTestId("attacker-view").waitFor();
  await shot("12-attacker");
  await page.goto(`${url}/#/identities`);
  await page.getByTestId("identities").waitFor();
  await shot("13-identities");
  await page.goto(`${url}/#/credentials`);
  await page.getByTestId("credentials").waitFor();
  await shot("17-credentials");
  await page.goto(`${url}/#/sessions`);
  await page.getByRole("heading", { name: "Sessions" }).waitFor();
  await shot("14-sessions");
  await page.setViewportSize({ width: 420, height: 860 });
  await page.goto(`${url}/#/maze`);
  await page.getByTestId("decky-web-01").waitFor();
  await shot("15-narrow");
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.getByTestId("logout").click();
  await page.getByTestId("login-form").waitFor();
  await shot("16-login");
  /** The dialogs of the maze, by name. */
  function dialogs() {
    const files = page.getByTestId("decky-files");
    const planned = async () => {
      await page.getByTestId("dry-run").click();
      await page.getByTestId("plan").waitFor();
    };
    return Object.entries({
      "add-lan": async () => {
        await page.getByTestId("add-lan").click();
        await page.fill("[name=name]", "lab");
        await planned();
      },
      "edit-lan": () => page.getByTestId("lan-office").getByTestId("edit-lan").click(),
      "edit-decky": async () => {
        await files.getByTestId("edit").click();
        await page.locator("[name=archetype]").selectOption("web-server");
        await page.getByRole("dialog").locator("[type=submit]").click();
        await page.locator(".note.error").waitFor();
      },
      outdated: async () => {
        await files.getByTestId("edit").click();
        await page.evaluate(async () => {
          const topology = document.querySelector("[data-topology]").dataset.topology;
          await fetch(`/api/v1/topologies/${topology}/mutations`, {
            method: "POST", headers: { "content-type": "application/json" },
            body: JSON.stringify({ op: "rotate_decky", payload: { decky: "files" } }),
          });
        });
        await page.getByTestId("outdated").waitFor();
      },
      attach: async () => {
        await files.getByTestId("attach").click();
        await planned();
      },
      stop: async () => {
        await files.getByTestId("stop").click();
        await page.getByTestId("plan").waitFor();
      },
      undo: async () => {
        await page.getByTestId("undo").click();
        await page.getByTestId("plan").waitFor();
      },
      rotation: () => page.getByTestId("rotation").click(),
      generate: async () => {
        await page.getByTestId("create-topology").click();
        await page.locator("[value=generated]").check();
      },
      import: async () => {
        await page.getByTestId("create-topology").click();
        await page.locator("[value=file]").check();
        const buffer = Buffer.from('{"format": 1, "name": "elsewhere"}');
        await page.locator("[type=file]").setInputFiles({ name: "elsewhere.json", mimeType: "application/json", buffer });
        await page.getByTestId("verdict").waitFor();
      },
    });
  }
} finally {
  await browser.close();
  mock.kill();
}
