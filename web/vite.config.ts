import { defineConfig } from "vite";

// The server sends `default-src 'none'; script-src 'self'; style-src 'self'`: nothing may be
// inlined, and the same sources must give the same bytes on every machine.
export default defineConfig({
  build: {
    target: "es2022",
    sourcemap: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: { "/api": process.env["MORGANA_BACKEND"] ?? "http://127.0.0.1:8480" },
  },
});
