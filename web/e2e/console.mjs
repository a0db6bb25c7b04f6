/**
 * The console against a running Morgana, as an operator uses it on the first day.
 *
 *   MORGANA_URL    the set-up link that `morgana up` printed
 *   MORGANA_VISIT  a shell command that visits a decky, such as a curl; it may use
 *                  $MORGANA_COMMAND, the first command that a card of the maze offers to copy
 *   MORGANA_SHOTS  a folder for screenshots; optional
 *   CHROMIUM       the browser; /usr/bin/chromium where absent
 *
 * Every wait is for a condition, with a deadline; the exit code is 0 only where all steps passed.
 */

import { exec } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { MORGANA_URL: link, MORGANA_VISIT: visit, MORGANA_SHOTS: shots, CHROMIUM } = process.env;
const DEADLINE_MS = 30_000;
const NAME = "e2e-newcomer";
const PASSWORD = "violet-harbour-41-lantern";

if (!link?.includes("#setup=") || !visit) {
  console.error("MORGANA_URL must be the set-up link, MORGANA_VISIT a shell command");
  process.exit(2);
}
const secret = link.split("#setup=")[1];

let step = "start the browser";
let pictures = 0;
const faults = [];
const browser = await chromium.launch({
  executablePath: CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
page.setDefaultTimeout(DEADLINE_MS);
page.on("pageerror", (error) => faults.push(`an exception: ${error.message}`));
page.on("console", (message) => {
  // The browser logs every refused request; the console asks who is signed in before anybody is.
  const expected = /status of 401/.test(message.text());
  if (message.type() === "error" && !expected) faults.push(`logged: ${message.text()}`);
});

try {
  await does("set up by the link", setUp);
  await does("see the maze", seeMaze);
  const session = await does("see a visit without reloading", seeVisit);
  await does("open the session", () => openSession(session));
  await does("add a decky", addDecky);
  await does("rotate it", rotate);
  await does("remove it", remove);
  await does("log out", logOut);
  step = "stay free of faults";
  if (faults.length > 0) throw new Error(faults.join("\n"));
  console.log("the console works");
} catch (error) {
  console.error(`FAILED to ${step}: ${error.message}`);
  for (const fault of faults) console.error(`  the page had ${fault}`);
  await picture("failed").catch(() => undefined);
  process.exitCode = 1;
} finally {
  await browser.close();
}

async function does(what, act) {
  step = what;
  const began = Date.now();
  const result = await act();
  console.log(`ok ${String(Date.now() - began).padStart(6)} ms  ${what}`);
  await picture(what.replaceAll(" ", "-"));
  return result;
}

async function picture(name) {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  pictures += 1;
  await page.screenshot({ path: join(shots, `${String(pictures).padStart(2, "0")}-${name}.png`) });
}

async function setUp() {
  await page.goto(link);
  const form = page.getByTestId("setup-form");
  await form.waitFor();
  if (page.url().includes(secret)) throw new Error("the secret is still in the address bar");
  await form.locator("[name=name]").fill("operator");
  await form.locator("[name=password]").fill(PASSWORD);
  await form.locator("[name=repeat]").fill(PASSWORD);
  await form.locator("[type=submit]").click();
  await Promise.race([page.getByTestId("maze").waitFor(), problem(form)]);
}

async function seeMaze() {
  await page.locator("[data-testid=connection-status][data-state=live]").waitFor();
  const maze = page.getByTestId("maze");
  const create = maze.getByRole("button", { name: "Create a maze" });
  await maze.locator("[data-testid=topology-status]").or(create).first().waitFor();
  if (await create.isVisible()) {
    await create.click();
    const form = page.getByTestId("create-topology-form");
    await form.locator("[name=name]").fill("e2e");
    await form.locator("[type=submit]").click();
    await maze.locator("[data-testid=topology-status]").waitFor();
  }
  if (await page.getByTestId("deploy").isVisible()) await page.getByTestId("deploy").click();
  await page.locator("[data-testid=maze][data-status=active]").waitFor();
  await page.locator("[data-testid^=decky-][data-state=running]").first().waitFor();
  await page.evaluate(() => { window.loadedOnce = true; });
}

async function seeVisit() {
  const sessions = page.getByTestId("feed").locator("[data-testid^=session-]");
  const before = new Set(await sessions.evaluateAll((all) => all.map((one) => one.dataset.testid)));
  const command = await page.locator("[data-testid^=decky-] .command code").first().textContent();
  const visited = shell(visit, { MORGANA_COMMAND: command });
  const handle = await page.waitForFunction((known) => {
    const all = [...document.querySelectorAll("[data-testid=feed] [data-testid^=session-]")];
    return all.map((one) => one.dataset.testid).find((id) => !known.includes(id));
  }, [...before]);
  await visited;
  if (!(await page.evaluate(() => window.loadedOnce))) throw new Error("the page was loaded again");
  return handle.jsonValue();
}

async function openSession(session) {
  await page.getByTestId("feed").getByTestId(session).locator("a[href^='#/sessions/']").first().click();
  const view = page.getByTestId("session-view");
  await view.waitFor();
  await view.getByTestId("activity").first().waitFor();
  await page.locator("[data-testid=session-view][data-state=ended]").waitFor();
}

async function addDecky() {
  await page.getByRole("link", { name: "Maze", exact: true }).click();
  await page.getByTestId("add-decky").click();
  const form = page.getByTestId("add-decky-form");
  await form.locator("[name=name]").fill("Not A Name");
  await form.locator("[type=submit]").click();
  await form.locator(".note.error").waitFor();
  await form.locator("[name=name]").fill(NAME);
  await form.locator("[name=archetype]").selectOption("linux-server");
  await form.locator("[name=service][value=ssh]").check();
  await form.locator("[type=submit]").click();
  await Promise.race([applied("add_decky"), problem(form)]);
  await page.locator(`[data-testid=decky-${NAME}][data-state=running]`).waitFor();
}

async function rotate() {
  const card = page.getByTestId(`decky-${NAME}`);
  const services = () => card.locator("[data-service]").evaluateAll((all) => all.map((one) => one.dataset.service).join());
  const before = await services();
  await card.getByTestId("rotate").click();
  await applied("rotate_decky");
  await page.waitForFunction(([name, old]) => {
    const all = [...document.querySelectorAll(`[data-testid=${name}] [data-service]`)];
    return all.length > 0 && all.map((one) => one.dataset.service).join() !== old;
  }, [`decky-${NAME}`, before]);
}

async function remove() {
  const card = page.getByTestId(`decky-${NAME}`);
  await card.getByTestId("remove").click();
  await page.getByTestId("confirm-dialog").locator("[type=submit]").click();
  await applied("remove_decky");
  await card.waitFor({ state: "detached" });
}

async function logOut() {
  await page.getByTestId("logout").click();
  await page.getByTestId("login-form").waitFor();
}

/** Waits until the newest change of this kind to the newcomer has ended, and well. */
async function applied(op) {
  const change = page.locator(`[data-testid^=mutation-][data-op=${op}]`).filter({ hasText: NAME });
  const over = change.and(page.locator("[data-state=applied], [data-state=failed]")).first();
  await over.waitFor();
  if ((await over.getAttribute("data-state")) === "failed") throw new Error(`the change failed: ${await over.innerText()}`);
}

/** Never resolves; rejects where the form shows a problem. */
async function problem(form) {
  const shown = form.locator(".problem, .note.error").first();
  await shown.waitFor({ timeout: 0 }).catch(() => new Promise(() => undefined));
  throw new Error(`the form says: ${await shown.innerText()}`);
}

function shell(command, env) {
  return new Promise((resolve, reject) => {
    exec(command, { env: { ...process.env, ...env }, timeout: DEADLINE_MS }, (error, _out, err) => {
      // A visitor may well be refused or cut off; only a command that cannot run is our fault.
      if (error && (error.code === 127 || error.killed)) reject(new Error(`the visit failed: ${err || error.message}`));
      else resolve();
    });
  });
}
