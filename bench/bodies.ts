import { createRandom } from "../cli/load/generator.ts";
import type { Random } from "../cli/load/generator.ts";

/** Different bodies that are made once; each use of one gets new ids and times. Together about 5 MB at 500 events. */
const TEMPLATES = 32;
const ID_LENGTH = 36;
const TIME_DIGITS = 13;
/** Events are up to this much older than the moment they are sent, out of order within it. */
const DISORDER_MS = 1_000;

interface Template {
  readonly bytes: Buffer;
  /** Offset of each event's id. */
  readonly ids: readonly number[];
  /** Offset of each event's timestamp. */
  readonly times: readonly number[];
}

/**
 * Makes bodies for POST /events/batch fast enough never to be what a benchmark measures: the JSON is made beforehand,
 * and each use writes fresh ids (UUIDv7, random bits and all, so that they compress as badly as real ones) and
 * timestamps into it.
 */
export class BodyMaker {
  readonly #templates: readonly Template[];
  readonly #random: Random;
  #next = 0;

  constructor(seed: string, eventsPerBody: number) {
    this.#random = createRandom(seed);
    this.#templates = Array.from({ length: TEMPLATES }, () => makeTemplate(this.#random, eventsPerBody));
  }

  /** Mean size of an event in the body, bytes. */
  get bytesPerEvent(): number {
    const bytes = this.#templates.reduce((sum, { bytes: { length } }) => sum + length, 0);
    const events = this.#templates.reduce((sum, { ids }) => sum + ids.length, 0);
    return bytes / events;
  }

  /** A body whose events have never been sent. Its buffer is the caller's. */
  next(nowMs: number): Buffer<ArrayBuffer> {
    const template = this.#templates[this.#next++ % TEMPLATES];
    if (template === undefined) throw new RangeError("there are no templates");
    const body = Buffer.from(template.bytes);
    for (const [event, at] of template.ids.entries()) {
      const timestamp = nowMs - this.#random.below(DISORDER_MS);
      this.#writeId(body, at, timestamp);
      body.write(String(timestamp), template.times[event] ?? 0, "latin1");
    }
    return body;
  }

  #writeId(body: Buffer, at: number, timestamp: number): void {
    const hex = timestamp.toString(16).padStart(12, "0");
    const bits = (): string =>
      this.#random
        .below(2 ** 24)
        .toString(16)
        .padStart(6, "0");
    const [a, b, c] = [bits(), bits(), bits()];
    body.write(`${hex.slice(0, 8)}-${hex.slice(8)}-7${a.slice(0, 3)}-8${a.slice(3)}-${b}${c}`, at, "latin1");
  }
}

function makeTemplate(random: Random, events: number): Template {
  const texts = Array.from({ length: events }, () => makeEvent(random));
  const bytes = Buffer.from(`{"events":[${texts.join(",")}]}`);
  const ids = offsetsAfter(bytes, '"id":"');
  return { bytes, ids, times: offsetsAfter(bytes, '"timestamp":') };
}

function offsetsAfter(bytes: Buffer, mark: string): number[] {
  const offsets: number[] = [];
  for (let at = bytes.indexOf(mark); at >= 0; at = bytes.indexOf(mark, at + 1)) offsets.push(at + mark.length);
  return offsets;
}

const STATUSES = [200, 200, 200, 200, 200, 200, 200, 200, 304, 301, 404, 500] as const;
const WORDS = ["presentations", "images", "blog", "projects", "files", "style", "logstash", "articles"] as const;
const AGENTS = [
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1)",
  "Mozilla/5.0 (compatible; Googlebot/2.1)",
  "UniversalFeedParser/4.2",
] as const;

/** A web request like those of a real log: 1,700 clients, about 2,000 paths of which a few get most requests. */
function makeEvent(random: Random): string {
  const status = random.pick(STATUSES);
  const event = {
    id: "0".repeat(ID_LENGTH),
    type: "web.request",
    source: "bench",
    timestamp: Number("1".repeat(TIME_DIGITS)),
    severity: status >= 500 ? "high" : status >= 400 ? "medium" : "low",
    data: {
      client_ip: `203.0.${random.below(17)}.${random.below(100)}`,
      method: "GET",
      path: `/${random.pick(WORDS)}/${Math.floor(250 * random.next() ** 3)}`,
      protocol: "HTTP/1.1",
      status,
      bytes: Math.floor(10 ** (2 + 4 * random.next())),
      referrer: "-",
      user_agent: random.pick(AGENTS),
    },
  };
  return JSON.stringify(event);
}
