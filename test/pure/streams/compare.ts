// node --unhandled-rejections=none compare.ts <library>: prints which operators of a library break which rule, as JSON.
// A process of its own: some libraries leave loops and rejections behind that would disturb whatever runs next.
import { LIBRARIES, type Library } from "./libraries.ts";
import { type OperatorCase, type Rule, RULES } from "./rules.ts";

/** Turns of the event loop in which everything that needs no time has happened. */
const TURNS = 500;

/** @throws when the check fails, or has not settled after everything that could happen has */
async function check(rule: Rule, operator: OperatorCase): Promise<void> {
  const checked = rule.check(operator);
  checked.catch(() => undefined);
  if (rule.isLong === true) await checked;
  else await Promise.race([checked, giveUp()]);
}

async function giveUp(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
  throw new Error("hangs");
}

async function brokenBy({ operators }: Library): Promise<Record<string, string[]>> {
  const broken: Record<string, string[]> = {};
  for (const rule of RULES) {
    const about = operators.filter((operator) => rule.only?.(operator) ?? true);
    const outcomes = await Promise.allSettled(about.map((operator) => check(rule, operator)));
    const names = about.flatMap(({ name }, index) => (outcomes[index]?.status === "rejected" ? [name] : []));
    if (names.length > 0) broken[rule.name] = names;
  }
  return broken;
}

const library = LIBRARIES.find(({ name }) => name === process.argv[2]);
if (library === undefined) throw new Error(`no library ${process.argv[2]}`);
process.stdout.write(JSON.stringify(await brokenBy(library)), () => process.exit(0));
