// `npm run bench:alerts`: how long it takes from an event to the webhook.
import { parseArgs } from "node:util";
import { measureClosed, measureEarly } from "./alert-latency.ts";
import { environment } from "./environment.ts";
import { CLOSED_TITLE, EARLY_TITLE, formatLatency, formatTick } from "./report.ts";
import { measureTick } from "./tick.ts";

const HELP = `npm run bench:alerts -- [--only early,closed,tick] [--seconds N]

  early    from POST to webhook, a rule on an open window of one minute that can only become truer
  tick     10,000 alert instances evaluated on one closed window
  closed   from the POST that moves the watermark to a window's end, to webhook

  --seconds N   of traffic at 1,000 events/s, ten alerts a second (default: 30)
`;

const { values } = parseArgs({
  options: { only: { type: "string" }, seconds: { type: "string" }, help: { type: "boolean" } },
});
if (values.help === true) process.stdout.write(HELP);
else await main(new Set((values.only ?? "early,closed,tick").split(",")), Number(values.seconds ?? 30));

async function main(only: ReadonlySet<string>, seconds: number): Promise<void> {
  process.stdout.write(`${JSON.stringify(environment("bench:alerts"), null, 2)}\n`);
  if (only.has("tick")) {
    for (const rules of [1, 10]) process.stdout.write(`\n${formatTick(rules, measureTick(rules))}`);
  }
  if (only.has("early")) {
    process.stdout.write(`\n${formatLatency(EARLY_TITLE, await measureEarly(seconds))}`);
  }
  if (only.has("closed")) {
    process.stdout.write(`\n${formatLatency(CLOSED_TITLE, await measureClosed(seconds))}`);
  }
}
