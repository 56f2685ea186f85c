import { defineConfig } from "drizzle-kit";

// `npx drizzle-kit generate` compares storage/d1/schema.ts with migrations/d1/meta and writes the next migration.
// wrangler and the tests read only the *.sql files directly in migrations/d1; the meta folder is drizzle's own memory.
// After generating a new table, append WITHOUT ROWID by hand where its key is not a plain id (0000_event_store.sql says why).
export default defineConfig({ dialect: "sqlite", schema: "./storage/d1/schema.ts", out: "./migrations/d1" });
