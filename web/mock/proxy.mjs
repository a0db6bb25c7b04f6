/**
 * Development only: this tree's `dist` in front of a running Morgana, whose embedded console may
 * be older. Passes `/api` on as it is, with the browser's Host, so that the server's origin check
 * holds.
 *
 *   node mock/proxy.mjs http://127.0.0.1:8480 [port]
 */

import { createServer, request as ask } from "node:http";
import { serveFile } from "./server.mjs";

const backend = new URL(process.argv[2] ?? "http://127.0.0.1:8480");
const server = createServer((request, response) => {
  const path = new URL(request.url, backend).pathname;
  if (!path.startsWith("/api/")) return serveFile(path, response);
  const { hostname, port } = backend;
  const passed = ask({ hostname, port, path: request.url, method: request.method, headers: request.headers });
  passed.on("response", (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  passed.on("error", () => response.destroy());
  response.on("close", () => passed.destroy());
  request.pipe(passed);
});
server.listen(Number(process.argv[3] ?? 0), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
