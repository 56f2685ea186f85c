import { call, list, textOf } from "./api.ts";
import { UsageError } from "./errors.ts";
import type { Command } from "./command.ts";
import type { Options } from "./options.ts";
import { printTable } from "./table.ts";
import { resolveTarget } from "./target.ts";

const HELP = `streamflow keys <action>: API keys of the tenant. Needs an admin's key.

  create --name NAME --role ingest|viewer|editor|admin   makes a key and shows it, this once
  list                                                   names, roles and ids
  revoke <id>                                            ends a key, within 30 seconds everywhere

  --json   print the platform's answer as JSON
`;

/** `streamflow keys`. */
export const keys: Command = {
  help: HELP,
  options: { name: { type: "string" }, role: { type: "string" }, json: { type: "boolean" } },
  run,
};

async function run(options: Options): Promise<number> {
  const [action, id, ...more] = options.positionals;
  if (more.length > 0) throw new UsageError("There are too many arguments.");
  const target = resolveTarget(options, process.env);
  const answer = (data: unknown, print: () => void): number => {
    if (options.has("json")) process.stdout.write(`${JSON.stringify(data)}\n`);
    else print();
    return 0;
  };
  switch (action) {
    case "create": {
      const [name, role] = [options.text("name"), options.text("role")];
      if (name === undefined || role === undefined) throw new UsageError("keys create needs --name and --role.");
      const data = await call(target, "POST", "/api/v1/keys", { name, role });
      return answer(data, () => process.stdout.write(`${textOf(data, "key")}\n`));
    }
    case "list": {
      const data = await call(target, "GET", "/api/v1/keys");
      return answer(data, () =>
        printTable(list(data, "keys"), ["id", "name", "role", "created_at", "last_used_at", "revoked_at"]),
      );
    }
    case "revoke": {
      if (id === undefined) throw new UsageError("keys revoke needs the key's id.");
      const data = await call(target, "DELETE", `/api/v1/keys/${encodeURIComponent(id)}`);
      return answer(data, () => process.stdout.write(`Revoked ${id}.\n`));
    }
    default:
      throw new UsageError("Say what to do: create, list or revoke.");
  }
}
