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
const LAB = "e2e-lab";
const DEN = "e2e-den";
const BETWEEN = "e2e-between";
const SEEDED = "e2e-seeded";
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
  // The browser logs every refused request: the console asks who is signed in before anybody is,
  // and this walk asks for what has to be refused.
  const expected = /status of (401|409|412|422)/.test(message.text());
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
  await does("add a LAN", addLan);
  await does("add a decky in it", addDeckyInLan);
  await does("attach it to a second LAN", attach);
  await does("look at what a detachment would do", lookAtDetach);
  await does("undo the attachment", undo);
  await does("edit a decky that another has changed", editOutdated);
  await does("stop and start it", stopAndStart);
  await does("make it another machine", force);
  await does("rename the LAN", renameLan);
  await does("set the rotation of the maze", setRotation);
  await does("empty and remove the LAN", removeLan);
  await does("generate a maze", generate);
  await does("deploy it", deploy);
  await does("export and import it", exportAndImport);
  await does("tear it down", tearDown);
  await does("throw the kill switch", panic);
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
  await Promise.race([applied("add_decky", NAME), problem(form)]);
  await running(NAME);
}

async function rotate() {
  const card = page.getByTestId(`decky-${NAME}`);
  const services = () => card.locator("[data-service]").evaluateAll((all) => all.map((one) => one.dataset.service).join());
  const before = await services();
  await card.getByTestId("rotate").click();
  await applied("rotate_decky", NAME);
  await page.waitForFunction(([name, old]) => {
    const all = [...document.querySelectorAll(`[data-testid=${name}] [data-service]`)];
    return all.length > 0 && all.map((one) => one.dataset.service).join() !== old;
  }, [`decky-${NAME}`, before]);
}

async function remove() {
  const card = page.getByTestId(`decky-${NAME}`);
  await card.getByTestId("remove").click();
  await page.getByTestId("confirm-dialog").locator("[type=submit]").click();
  await applied("remove_decky", NAME);
  await card.waitFor({ state: "detached" });
}

async function addLan() {
  const form = page.getByTestId("add-lan-form");
  const [taken] = await page.locator("[data-testid^=lan-] h2").allTextContents();
  // By keyboard alone: the dialog takes the focus, and a refusal gives it to the field.
  await page.getByTestId("add-lan").press("Enter");
  await form.locator("[name=name]:focus").waitFor();
  await page.keyboard.type(taken);
  await page.keyboard.press("Enter");
  await form.locator(".wrong [name=name]:focus").waitFor();
  await form.locator("[data-code=LAN_NAME_DUP]").waitFor();
  await form.locator("[name=name]").fill(LAB);
  await plans(form, `LAN ${LAB} comes`, `add LAN ${LAB}`);
  if (await page.getByTestId(`lan-${LAB}`).isVisible()) throw new Error("the dry run added it");
  await form.locator("[type=submit]").click();
  await Promise.race([applied("add_lan", LAB), problem(form)]);
  await page.getByTestId(`lan-${LAB}`).waitFor();
}

async function addDeckyInLan() {
  await page.getByTestId("add-decky").click();
  const form = page.getByTestId("add-decky-form");
  await form.locator("[name=name]").fill(BETWEEN);
  await form.locator("[name=lan]").selectOption(LAB);
  await form.locator("[name=rotate]").fill("often");
  await form.locator("[type=submit]").click();
  await form.locator(".wrong [name=rotate]").waitFor();
  await form.locator("[name=rotate]").fill("1 d");
  await form.locator("[type=submit]").click();
  await Promise.race([applied("add_decky", BETWEEN), problem(form)]);
  await page.getByTestId(`lan-${LAB}`).locator(`[data-testid=decky-${BETWEEN}][data-state=running]`).waitFor();
}

async function attach() {
  await page.getByTestId(`decky-${BETWEEN}`).getByTestId("attach").click();
  const form = page.getByTestId("attach-form");
  const other = await form.locator("[name=lan] option").first().getAttribute("value");
  await form.locator("[name=lan]").selectOption(other);
  await form.locator("[name=ip]").fill("192.0.2.1");
  await form.locator("[type=submit]").click();
  await form.locator(".wrong [name=ip]").waitFor();
  await form.locator("[name=ip]").fill("");
  await form.locator("[name=forwards_l3]").check();
  await plans(form, `attach decky ${BETWEEN} to LAN ${other}`);
  await form.locator("[type=submit]").click();
  await Promise.race([applied("attach_decky", BETWEEN), problem(form)]);
  await page.getByTestId(`lan-${other}`).getByTestId(`interface-${BETWEEN}`).getByText("routes").waitFor();
}

async function lookAtDetach() {
  const end = page.getByTestId(`interface-${BETWEEN}`);
  await end.getByTestId("detach").click();
  await page.getByTestId("plan").getByText(`detach decky ${BETWEEN}`).waitFor();
  await page.keyboard.press("Escape");
  await page.getByTestId("confirm-dialog").waitFor({ state: "detached" });
  await end.waitFor();
}

async function undo() {
  await page.getByTestId("undo").click();
  await page.getByTestId("undo-last").getByText(`attach decky ${BETWEEN}`).waitFor();
  const form = page.getByTestId("undo-form");
  await form.getByTestId("plan").getByText(`detach decky ${BETWEEN}`).waitFor();
  await form.locator("[type=submit]").click();
  await Promise.race([applied("undo", "take back"), problem(form)]);
  await page.getByTestId(`interface-${BETWEEN}`).waitFor({ state: "detached" });
}

async function editOutdated() {
  const card = page.getByTestId(`decky-${BETWEEN}`);
  await card.getByTestId("edit").click();
  const form = page.getByTestId("edit-decky-form");
  await form.waitFor();
  await page.evaluate(another, { topology: await mazeId(), op: { op: "update_decky", payload: { decky: BETWEEN, services: ["ftp"] } } });
  await form.getByTestId("outdated").waitFor();
  await form.locator("[name=service][value=http]").check();
  // The server insists as well: nothing is overwritten.
  const refused = page.waitForResponse((answer) => answer.status() === 412);
  await Promise.all([refused, form.locator("[type=submit]").click()]);
  await form.getByTestId("reload").click();
  await form.locator("[name=service][value=ftp]:checked").waitFor();
  await form.locator("[name=service][value=http]").check();
  await form.locator("[type=submit]").click();
  await form.waitFor({ state: "detached" });
  await card.locator("[data-service=http]").waitFor();
  await card.locator("[data-service=ftp]").waitFor();
}

/** Runs in the page: a change that somebody else sends meanwhile. */
async function another({ topology, op }) {
  const answer = await fetch(`/api/v1/topologies/${topology}/mutations`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(op),
  });
  if (!answer.ok) throw new Error(await answer.text());
}

async function stopAndStart() {
  const card = page.getByTestId(`decky-${BETWEEN}`);
  await card.getByTestId("stop").click();
  await page.getByTestId("plan").getByText(`remove decky ${BETWEEN}`).waitFor();
  await page.getByTestId("confirm-dialog").locator("[type=submit]").click();
  await applied("stop_decky", BETWEEN);
  await page.locator(`[data-testid=decky-${BETWEEN}][data-state=stopped]`).waitFor();
  await card.getByTestId("start").click();
  await applied("start_decky", BETWEEN);
  await running(BETWEEN);
}

async function force() {
  const card = page.getByTestId(`decky-${BETWEEN}`);
  await card.getByTestId("edit").click();
  const form = page.getByTestId("edit-decky-form");
  await form.locator("[name=archetype]").selectOption("database-server");
  await form.locator("[name=service][value=redis]").check();
  await form.locator("[type=submit]").click();
  await form.locator(".wrong [name=archetype]").waitFor();
  await form.locator("[name=force]").check();
  await form.locator("[type=submit]").click();
  await form.waitFor({ state: "detached" });
  await card.getByText("database-server").waitFor();
  await card.locator("[data-service=redis]").waitFor();
  await running(BETWEEN);
}

async function renameLan() {
  await page.getByTestId(`lan-${LAB}`).getByTestId("edit-lan").click();
  const form = page.getByTestId("edit-lan-form");
  if (await form.locator("[name=subnet]").isEnabled()) throw new Error("a live LAN keeps its subnet");
  await form.locator("[type=submit]").click();
  await form.locator(".problem").waitFor();
  await form.locator("[name=name]").fill(DEN);
  await form.locator("[type=submit]").click();
  await Promise.race([applied("update_lan", LAB), problem(form)]);
  await page.getByTestId(`lan-${DEN}`).getByTestId(`decky-${BETWEEN}`).waitFor();
}

async function setRotation() {
  await page.getByTestId("rotation").click();
  const form = page.getByTestId("rotation-form");
  await form.locator("[name=rotate]").fill("1 s");
  await form.locator("[type=submit]").click();
  await form.locator(".wrong [name=rotate]").waitFor();
  await form.locator("[name=rotate]").fill("2 d");
  await form.locator("[type=submit]").click();
  await Promise.race([applied("update_topology", "rotation"), problem(form)]);
  await page.getByText("rotating every 48 h").waitFor();
}

async function removeLan() {
  const lan = page.getByTestId(`lan-${DEN}`);
  if (await lan.getByTestId("remove-lan").isVisible()) throw new Error("somebody lives there");
  await lan.getByTestId(`decky-${BETWEEN}`).getByTestId("remove").click();
  await page.getByTestId("confirm-dialog").locator("[type=submit]").click();
  await applied("remove_decky", BETWEEN);
  await lan.getByTestId("remove-lan").click();
  await page.getByTestId("plan").getByText(`remove LAN ${DEN}`).waitFor();
  await page.getByTestId("confirm-dialog").locator("[type=submit]").click();
  await applied("remove_lan", DEN);
  await lan.waitFor({ state: "detached" });
}

async function generate() {
  await page.getByTestId("create-topology").click();
  const form = page.getByTestId("create-topology-form");
  await form.locator("[value=generated]").check();
  await form.locator("[name=name]").fill(SEEDED);
  await form.locator("[name=depth]").fill("17");
  await form.locator("[name=seed]").fill("7");
  await form.locator("[type=submit]").click();
  await form.locator(".wrong [name=depth]").waitFor();
  await form.locator("[name=depth]").fill("2");
  await form.locator("[name=branching]").fill("2");
  await form.locator("[type=submit]").click();
  await form.waitFor({ state: "detached" });
  await page.locator("[data-testid=maze][data-status=pending]").waitFor();
  const lans = await page.locator("section.zone").count();
  if (lans !== 3) throw new Error(`a DMZ with two LANs behind it has ${lans} LANs`);
  await page.getByTestId("undo").click();
  await page.getByTestId("undo-form").locator("[data-code=UNDO_UNSAFE]").getByText("there is nothing to take back").waitFor();
  if (await page.getByTestId("undo-form").locator("[type=submit]").isEnabled()) throw new Error("nothing can be taken back");
  await page.keyboard.press("Escape");
}

async function deploy() {
  await page.getByTestId("deploy").click();
  await page.locator("[data-testid=maze][data-status=active]").waitFor();
  await page.waitForFunction(() => {
    const all = [...document.querySelectorAll("[data-testid^=decky-]")];
    return all.length > 0 && all.every((one) => one.dataset.state === "running");
  });
}

async function exportAndImport() {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByTestId("export").click()]);
  if (download.suggestedFilename() !== `${SEEDED}.json`) throw new Error(`the file is called ${download.suggestedFilename()}`);
  await page.getByTestId("create-topology").click();
  const form = page.getByTestId("create-topology-form");
  await form.locator("[value=file]").check();
  await form.locator("[type=file]").setInputFiles({ name: "broken.json", mimeType: "application/json", buffer: Buffer.from("{") });
  await form.locator(".wrong [type=file]").waitFor();
  await form.locator("[type=file]").setInputFiles(await download.path());
  await form.locator("[data-testid=verdict][data-valid=true]").waitFor();
  await form.locator("[type=submit]").click();
  await form.locator(".wrong [name=name]").waitFor();
  await form.locator("[name=name]").fill(`${SEEDED}-copy`);
  const deckies = await page.locator("[data-testid^=decky-]").count();
  const seeded = await mazeId();
  await form.locator("[type=submit]").click();
  await form.waitFor({ state: "detached" });
  await page.locator("[data-testid=maze][data-status=pending]").waitFor();
  const copied = await page.locator("[data-testid^=decky-]").count();
  if (copied !== deckies) throw new Error(`the copy has ${copied} deckies, not ${deckies}`);
  await page.getByLabel("Maze", { exact: true }).and(page.locator("select")).selectOption(seeded);
  await page.locator(`[data-testid=maze][data-topology="${seeded}"]`).waitFor();
}

async function tearDown() {
  await page.getByTestId("teardown").click();
  await page.getByTestId("confirm-dialog").locator("[type=submit]").click();
  await page.locator("[data-testid=maze][data-status=torn_down]").waitFor();
}

async function panic() {
  await page.locator("a[href='#/system']").click();
  const dialog = page.getByTestId("panic-dialog");
  await page.getByTestId("panic").click();
  await dialog.locator("[name=word]:focus").waitFor();
  const isArmed = () => dialog.locator("[type=submit]").isEnabled();
  if (await isArmed()) throw new Error("it is thrown without a word");
  await page.keyboard.type("please");
  if (await isArmed()) throw new Error("any word throws it");
  await dialog.locator("[name=word]").fill("panic");
  await page.keyboard.press("Enter");
  await dialog.getByTestId("panic-done").getByText("off the network").waitFor();
  await dialog.getByRole("button", { name: "Close" }).click();
  await dialog.waitFor({ state: "detached" });
}

async function running(decky) {
  await page.locator(`[data-testid=decky-${decky}][data-state=running]`).waitFor();
}

async function mazeId() {
  return page.getByTestId("maze").getAttribute("data-topology");
}

/** Asks for a dry run and waits until its plan has these lines. */
async function plans(form, ...lines) {
  await form.getByTestId("dry-run").click();
  for (const line of lines) await Promise.race([form.getByTestId("plan").getByText(line).first().waitFor(), problem(form)]);
}

async function logOut() {
  await page.getByTestId("logout").click();
  await page.getByTestId("login-form").waitFor();
}

/** Waits until the newest change of this kind whose words have `text` has ended, and well. */
async function applied(op, text) {
  const change = page.locator(`[data-testid^=mutation-][data-op=${op}]`).filter({ hasText: text });
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
