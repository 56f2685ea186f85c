import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

const migrations = await readD1Migrations("migrations/d1");

export default defineConfig({
  test: {
    // The product's own log lines; a test that is about them reads them itself.
    onConsoleLog: (line) => !line.startsWith('{"level":'),
    projects: [
      { test: { name: "pure", include: ["test/pure/**/*.test.ts"], environment: "node", testTimeout: 30_000 } },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              bindings: {
                STREAMFLOW_MODE: "local",
                ADMIN_KEY: "test-admin-key-0123456789abcdef",
                JWT_SECRET: "test-jwt-secret-0123456789abcdef0123456789",
                ENCRYPTION_KEY: "dGVzdC1lbmNyeXB0aW9uLWtleS0wMTIzNDU2Nzg5YWI",
                TEST_MIGRATIONS: migrations,
              },
            },
          }),
        ],
        test: {
          name: "workerd",
          include: ["test/workerd/**/*.test.ts"],
          setupFiles: ["test/workerd/setup.ts"],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "system",
          include: ["test/system/**/*.test.ts"],
          environment: "node",
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
