import { readFileSync } from "node:fs";
import { parseDocument } from "yaml";
import type { z } from "zod";
import { CliError, messageOf } from "../errors.ts";

/** A YAML or JSON file, parsed. @throws CliError that names the file, and the line of what cannot be parsed */
export function readYaml(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new CliError(`${path} cannot be read: ${messageOf(error)}`, 2);
  }
  // Aliases can make a small file enormous; nothing here needs more than a few.
  const document = parseDocument(text, { prettyErrors: true });
  const [problem] = document.errors;
  if (problem !== undefined) throw new CliError(`${path}: ${problem.message}`, 2);
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new CliError(`${path}: ${messageOf(error)}`, 2);
  }
}

/** What a file holds, checked. @throws CliError that lists every field that is wrong */
export function checked<Schema extends z.ZodType>(path: string, schema: Schema, value: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => {
    const unknown = issue.code === "unrecognized_keys" ? issue.keys : [];
    return {
      field: [...issue.path, ...unknown.slice(0, 1)].join("."),
      message: unknown.length > 0 ? "is not a field here" : issue.message,
    };
  });
  throw new CliError(problemList(path, problems), 2);
}

/** One line per problem, after the name of the file. */
export function problemList(
  path: string,
  problems: readonly { readonly field: string; readonly message: string }[],
): string {
  return `${path} cannot be used:\n${problems.map(({ field, message }) => `  ${field || "the file"}: ${message}`).join("\n")}`;
}
