/** Fails where a fresh build differs from the committed `dist`, or where `dist` breaks its rules. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const web = dirname(dirname(fileURLToPath(import.meta.url)));
const fresh = mkdtempSync(join(tmpdir(), "console-dist-"));
const problems = [];
try {
  const vite = join(web, "node_modules", "vite", "bin", "vite.js");
  execFileSync(process.execPath, [vite, "build", "--outDir", fresh, "--emptyOutDir", "--logLevel", "warn"],
    { cwd: web, stdio: "inherit" });
  const [wanted, found] = [files(fresh), files(join(web, "dist"))];
  for (const name of new Set([...wanted.keys(), ...found.keys()])) {
    if (!found.has(name)) problems.push(`dist/${name} is missing`);
    else if (!wanted.has(name)) problems.push(`dist/${name} is left over`);
    else if (!wanted.get(name).equals(found.get(name))) problems.push(`dist/${name} is stale`);
  }
  for (const [name, bytes] of found) {
    const text = bytes.toString("utf8");
    if (name.endsWith(".map") || text.includes("sourceMappingURL")) problems.push(`dist/${name} has a source map`);
    if (name.endsWith(".html") && (/<script(?![^>]*\ssrc=)/.test(text) || /<style|\sstyle=|\son\w+=/.test(text))) {
      problems.push(`dist/${name} has inline script or style, which the server's policy forbids`);
    }
  }
} finally {
  rmSync(fresh, { recursive: true });
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) {
  console.error("Run `npm run build` in web/ and commit web/dist.");
  process.exit(1);
}
console.log("dist is what the sources build");

function files(root) {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(entries.map((entry) => {
    const path = join(entry.parentPath, entry.name);
    return [relative(root, path), readFileSync(path)];
  }));
}
