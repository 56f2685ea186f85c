import { parseArgs } from "node:util";
import { UsageError, messageOf } from "./errors.ts";

/** What a command declares: every option is a string or a switch. */
export type OptionSpecs = Readonly<Record<string, { readonly type: "string" | "boolean"; readonly short?: string }>>;

/** Options that take a value each. */
export function textOptions(names: readonly string[]): OptionSpecs {
  return Object.fromEntries(names.map((name) => [name, { type: "string" }]));
}

/** A command's arguments after parsing. */
export interface Options {
  readonly positionals: readonly string[];
  /** Whether a switch was given. */
  has(name: string): boolean;
  /** A string option, or undefined. */
  text(name: string): string | undefined;
  /** A whole number within the range, or the default. @throws UsageError when it is none */
  integer(name: string, range: { readonly min: number; readonly max: number }): number | undefined;
}

const COMMON: OptionSpecs = {
  url: { type: "string" },
  key: { type: "string" },
  help: { type: "boolean", short: "h" },
};

/**
 * Parses a command's arguments; `--url`, `--key` and `--help` belong to every command.
 *
 * @throws UsageError for an option that does not exist or lacks its value
 */
export function parseOptions(args: readonly string[], specs: OptionSpecs): Options {
  const { values, positionals } = parse(args, { ...COMMON, ...specs });
  const text = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === "string" ? value : undefined;
  };
  return {
    positionals,
    has: (name) => values[name] === true,
    text,
    integer(name, { min, max }) {
      const value = text(name);
      if (value === undefined) return undefined;
      const number = Number(value);
      if (value.trim() === "" || !Number.isInteger(number) || number < min || number > max) {
        throw new UsageError(`--${name} must be a whole number from ${min} to ${max}, not "${value}".`);
      }
      return number;
    },
  };
}

function parse(args: readonly string[], options: OptionSpecs) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}
