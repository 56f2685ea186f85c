import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { unstable_splitSqlQuery } from "wrangler";
import { ROOT, SetupError, messageOf } from "./settings.ts";

/** The part of a D1 database that migrating needs. */
export interface MigrationDatabase {
  prepare(sql: string): MigrationStatement;
  batch(statements: MigrationStatement[]): Promise<unknown>;
}

interface MigrationStatement {
  bind(...values: unknown[]): MigrationStatement;
  run(): Promise<unknown>;
  all(): Promise<{ results: Record<string, unknown>[] }>;
}

// The table of `wrangler d1 migrations`, so that both tools agree on what has been applied.
const LEDGER = `create table if not exists d1_migrations(
  id integer primary key autoincrement, name text unique, applied_at timestamp default current_timestamp not null)`;

/**
 * Applies the migrations in migrations/d1 that the database has not seen, in the order of their names. Each one is a
 * transaction together with its line in the ledger.
 *
 * @returns the names applied now
 * @throws SetupError naming the migration that failed
 */
export async function migrate(database: MigrationDatabase): Promise<string[]> {
  const directory = join(ROOT, "migrations/d1");
  const files = readdirSync(directory)
    .filter((name) => name.endsWith(".sql"))
    .toSorted();
  await database.prepare(LEDGER).run();
  const { results } = await database.prepare("select name from d1_migrations").all();
  const known = new Set(results.map((row) => row["name"]));
  const missing = files.filter((name) => !known.has(name));
  for (const name of missing) {
    const statements = unstable_splitSqlQuery(readFileSync(join(directory, name), "utf8"));
    try {
      await database.batch([
        ...statements.map((sql) => database.prepare(sql)),
        database.prepare("insert into d1_migrations(name) values (?)").bind(name),
      ]);
    } catch (error) {
      throw new SetupError(`Migration ${name} failed: ${messageOf(error)}`);
    }
  }
  return missing;
}
