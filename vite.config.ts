import { defineConfig } from "vite";

/** Builds the dashboard into what the Worker's assets binding serves (wrangler.toml). */
export default defineConfig({
  root: "dashboard",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../dist/dashboard",
    emptyOutDir: true,
    target: "es2024",
    // The policy in public/_headers has no room for data: scripts, and small files compress better apart.
    assetsInlineLimit: 0,
    // Every browser that reads es2024 preloads modules itself.
    modulePreload: { polyfill: false },
  },
});
