/**
 * Writes `src/api/schema.ts` from the API's OpenAPI document: its schemas, which is what the
 * console names. With `--check` it only says whether the file is what it would write.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";

const web = dirname(dirname(fileURLToPath(import.meta.url)));
const args = process.argv.slice(2);
const source = args.find((arg) => !arg.startsWith("--")) ?? join(web, "..", "crates", "api", "openapi.json");
const target = join(web, "src", "api", "schema.ts");

const { openapi, info, components } = JSON.parse(readFileSync(source, "utf8"));
const document = { openapi, info, paths: {}, components: { schemas: components.schemas } };
const ast = await openapiTS(document, { alphabetize: true, emptyObjectsUnknown: true });
const text = `// Made by \`npm run types\` from crates/api/openapi.json. Not to be edited.\n\n${astToString(ast)}`;

if (!args.includes("--check")) {
  writeFileSync(target, text);
} else if (readFileSync(target, "utf8") !== text) {
  console.error("src/api/schema.ts is stale: run `npm run types` in web/");
  process.exit(1);
}
