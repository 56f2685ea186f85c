// `npm run bench:sockets`: many live sockets on one tenant, some of which stop reading. Is anybody else slower for it, do the
// stalled ones hear of their gap and catch up, and what does it cost in memory?
import { availableParallelism, release, totalmem } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { RawSocket } from "./raw-socket.ts";
import { type BenchPlatform, startBenchPlatform } from "./platform.ts";

const HELP = `npm run bench:sockets -- [--sockets 2000] [--stalled 100] [--seconds 20] [--stall-seconds 40] [--bytes 2000]

  --sockets        live sockets of one tenant, each following the topic "events" and acking every frame
  --stalled        of these, so many stop reading and acking for a while; every second of them never acked at all
  --seconds        of each measurement without stalled sockets, before and after
  --stall-seconds  of the measurement with them
  --bytes          of each event; two events are sent per second, 500 ms apart, so each makes a frame of its own
`;

const EVENT_EVERY_MS = 500;
const TOPIC = "events";
const OPEN_AT_ONCE = 20;
const GIVE_UP_MS = 60_000;
/** Frames that were sent before the phase ended may still be on their way. */
const DRAIN_MS = 3_000;

const { values } = parseArgs({
  options: {
    sockets: { type: "string", default: "2000" },
    stalled: { type: "string", default: "100" },
    seconds: { type: "string", default: "20" },
    "stall-seconds": { type: "string", default: "40" },
    bytes: { type: "string", default: "2000" },
    help: { type: "boolean" },
  },
});

/** One live socket. Delays are noted only by those that stay healthy. */
class Reader {
  readonly socket: RawSocket;
  readonly #acks: boolean;
  delays: number[] | null = null;
  frames = 0;
  gaps = 0;
  snapshotsAfterGap = 0;
  /** Number of the newest event seen. */
  newest = -1;
  hasSnapshot = false;

  constructor(socket: RawSocket, acks: boolean) {
    this.socket = socket;
    this.#acks = acks;
    socket.onText = (payload) => this.#take(payload);
    socket.send(JSON.stringify({ type: "subscribe", topic: TOPIC }));
  }

  #take(payload: Buffer): void {
    const now = performance.now();
    const head = payload.toString("latin1", 0, 120);
    this.frames += 1;
    if (head.includes('"type":"gap"')) {
      this.gaps += 1;
      // What our own client does: ask anew, which is also a sign of life.
      this.socket.send(JSON.stringify({ type: "subscribe", topic: TOPIC }));
      return;
    }
    if (head.includes('"type":"snapshot"')) {
      this.hasSnapshot = true;
      if (this.gaps > 0) this.snapshotsAfterGap += 1;
    }
    const seq = /"seq":"([^"]+)"/.exec(head)?.[1];
    if (this.#acks && seq !== undefined) this.socket.send(JSON.stringify({ type: "ack", topic: TOPIC, seq }));
    // Newest first: the first number is the newest event's.
    const at = payload.indexOf('"sent_at":');
    if (at < 0) return;
    const text = payload.toString("latin1", at, at + 80);
    const [, sentAt, number] = /"sent_at":([\d.]+),"number":(\d+)/.exec(text) ?? [];
    if (number === undefined || Number(number) <= this.newest) return;
    this.newest = Number(number);
    this.delays?.push(now - Number(sentAt));
  }
}

interface Phase {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly frames: number;
  readonly expected: number;
}

let eventNumber = 0;
let refused = 0;

/** Sends one event, again when the platform asks to wait; its delay counts from the request that was accepted. */
async function post({ url, key }: BenchPlatform, number: number, bytes: number): Promise<void> {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  for (;;) {
    const data = { sent_at: performance.now(), number, padding: "x".repeat(bytes) };
    const body = JSON.stringify({ type: "bench.socket", source: "bench", data });
    const response = await fetch(`${url}/events`, { method: "POST", headers, body });
    await response.arrayBuffer();
    if (response.ok) return;
    if (response.status !== 429) throw new Error(`the platform answered ${response.status}`);
    refused += 1;
    await wait(1_000 * Number(response.headers.get("Retry-After")));
  }
}

/** Sends events at a steady pace. */
async function send(platform: BenchPlatform, seconds: number, bytes: number): Promise<number> {
  const startedAt = performance.now();
  const count = Math.round((seconds * 1_000) / EVENT_EVERY_MS);
  const answers: Promise<unknown>[] = [];
  for (let i = 0; i < count; i++) {
    const early = startedAt + i * EVENT_EVERY_MS - performance.now();
    if (early > 0) await wait(early);
    answers.push(post(platform, eventNumber++, bytes));
  }
  await Promise.all(answers);
  return count;
}

async function measure(
  platform: BenchPlatform,
  healthy: readonly Reader[],
  seconds: number,
  bytes: number,
): Promise<Phase> {
  for (const reader of healthy) reader.delays = [];
  const events = await send(platform, seconds, bytes);
  await wait(DRAIN_MS);
  const delays = healthy.flatMap((reader) => reader.delays ?? []).sort((a, b) => a - b);
  for (const reader of healthy) reader.delays = null;
  const at = (q: number): number => delays[Math.max(0, Math.ceil(q * delays.length) - 1)] ?? NaN;
  return { p50: at(0.5), p99: at(0.99), max: at(1), frames: delays.length, expected: events * healthy.length };
}

async function open(platform: BenchPlatform, count: number, silent: (index: number) => boolean): Promise<Reader[]> {
  const readers: Reader[] = [];
  for (let done = 0; done < count; done += OPEN_AT_ONCE) {
    const batch = Array.from({ length: Math.min(OPEN_AT_ONCE, count - done) }, (_, index) => done + index);
    const opened = batch.map(async (index) => {
      const socket = await RawSocket.open(platform.url, "/ws/live", platform.key);
      return new Reader(socket, !silent(index));
    });
    readers.push(...(await Promise.all(opened)));
  }
  await until("snapshots", () => readers.every((reader) => reader.hasSnapshot));
  return readers;
}

async function until(what: string, condition: () => boolean): Promise<number> {
  const startedAt = performance.now();
  while (!condition()) {
    if (performance.now() - startedAt > GIVE_UP_MS) throw new Error(`${what} did not come`);
    await wait(20);
  }
  return performance.now() - startedAt;
}

function memoryText(bytes: number | null): string {
  return bytes === null ? "unknown" : `${Math.round(bytes / 1e6)} MB`;
}

function row(name: string, phase: Phase): string {
  const { p50, p99, max, frames, expected } = phase;
  const cells = [p50, p99, max].map((ms) => `${ms.toFixed(0)} ms`.padStart(9)).join("");
  return `  ${name.padEnd(30)}${cells}   ${frames.toLocaleString("en")} of ${expected.toLocaleString("en")} frames\n`;
}

async function metrics(platform: BenchPlatform): Promise<string> {
  const text = await platform.text("/metrics");
  return [...text.matchAll(/^streamflow_live_(\w+) (\d+)$/gm)].map(([, name, value]) => `${name} ${value}`).join(", ");
}

function out(text: string): void {
  process.stdout.write(text);
}

async function main(): Promise<void> {
  const [sockets, stalledCount] = [Number(values.sockets), Number(values.stalled)];
  const [seconds, stallSeconds, bytes] = [
    Number(values.seconds),
    Number(values["stall-seconds"]),
    Number(values.bytes),
  ];
  const platform = await startBenchPlatform();
  try {
    out(`node bench/sockets.ts ${process.argv.slice(2).join(" ")}\n`);
    out(
      `node ${process.version}, Linux ${release()}, ${availableParallelism()} cores, ${memoryText(totalmem())}; load and platform share them\n`,
    );
    const before = platform.memory();
    const readers = await open(platform, sockets, (index) => index < stalledCount && index % 2 === 1);
    const [stalled, healthy] = [readers.slice(0, stalledCount), readers.slice(stalledCount)];
    const opened = platform.memory();
    await send(platform, 5, bytes);
    await wait(DRAIN_MS);
    const first = await measure(platform, healthy, seconds, bytes);
    const calm = platform.memory();
    for (const { socket } of stalled) socket.pause();
    const during = await measure(platform, healthy, stallSeconds, bytes);
    const held = platform.memory();
    const last = eventNumber - 1;
    for (const { socket } of stalled) socket.resume();
    const caughtUpMs = await until("the last event at every stalled socket", () =>
      stalled.every(({ newest }) => newest >= last),
    );
    const second = await measure(platform, healthy, seconds, bytes);
    out(`\nDelay from sending an event to its frame, ${healthy.length} sockets that read (p50, p99, max)\n`);
    out(row("nobody stalled", first));
    out(row(`${stalledCount} stalled`, during));
    out(row("nobody stalled again", second));
    out(
      `  p99 with / without stalled: ${(during.p99 / first.p99).toFixed(2)} (before), ${(during.p99 / second.p99).toFixed(2)} (after); goal ≤ 2\n`,
    );
    const withGap = stalled.filter(({ gaps }) => gaps > 0);
    const silentCount = stalled.filter((_, index) => index % 2 === 1).length;
    out(`\nStalled: ${stalled.length}, of which ${silentCount} never acked\n`);
    out(
      `  told of a gap ${withGap.length}, with a snapshot after it ${withGap.filter((r) => r.snapshotsAfterGap > 0).length}, the others lost nothing\n`,
    );
    out(
      `  all have the newest event ${caughtUpMs.toFixed(0)} ms after they read again; closed by the server: ${stalled.filter(({ socket }) => socket.closeCode !== null).length}\n`,
    );
    out(
      `\nworkerd: ${memoryText(before)} idle, ${memoryText(opened)} with ${sockets} sockets, ${memoryText(calm)} before the stall, ${memoryText(held)} after it, peak ${memoryText(platform.peakMemory())}\n`,
    );
    out(`events refused with 429 and sent again: ${refused}\n`);
    out(`/metrics: ${await metrics(platform)}\n`);
    for (const { socket } of readers) socket.close();
  } finally {
    await platform.stop();
  }
}

if (values.help === true) process.stdout.write(HELP);
else await main();
