import type { OptionSpecs, Options } from "./options.ts";

/** One of the commands of `streamflow`. */
export interface Command {
  /** Printed for `--help`; ends with a newline. */
  readonly help: string;
  readonly options: OptionSpecs;
  /** @returns the exit code */
  run(options: Options): Promise<number>;
}
