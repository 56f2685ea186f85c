// The access log counted by nothing that the product has, in windows of every kind.
import type { Definition } from "../core/windows/definition.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const measures = { requests: { fn: "count" }, bytes: { fn: "sum", field: "data.bytes" } } as const;
/** Windows of every kind over the log. */
export const DEFINITIONS: readonly Definition[] = [
  { name: "minutes", window: { type: "tumbling", size: "1m" }, measures },
  { name: "hours", window: { type: "tumbling", size: "1h" }, group_by: ["data.status"], measures },
  { name: "hopping", window: { type: "hopping", size: "1h", slide: "5m" }, measures },
  { name: "visits", window: { type: "session", gap: "30m" }, group_by: ["data.client_ip"], measures },
];

/** What the recount needs of a line. */
export interface Request {
  readonly at: number;
  readonly ip: string;
  readonly status: number;
  readonly bytes: number;
}

/** The log read again, by nothing that the product has. */
export function readRequests(lines: readonly string[]): Request[] {
  return lines.flatMap((line) => {
    const fields = /^(\S+) .*?\[(\d+)\/May\/2015:([\d:]+) \+0000\] ".*?(?<!\\)" (\d+) (\d+|-) ".*"$/.exec(line);
    if (fields === null) return [];
    const [, ip = "", day = "", time = "", status, bytes] = fields;
    const at = Date.parse(`2015-05-${day.padStart(2, "0")}T${time}Z`);
    return [{ at, ip, status: Number(status), bytes: bytes === "-" ? 0 : Number(bytes) }];
  });
}

/** Requests and bytes by `<aggregation> <start> <end> <group as JSON>`, times epoch ms. */
export function recount(requests: readonly Request[]): Map<string, [requests: number, bytes: number]> {
  const counted = new Map<string, [number, number]>();
  const add = (name: string, start: number, end: number, group: unknown, { bytes }: Request): void => {
    const key = recountKey(name, start, end, group);
    const [before, bytesBefore] = counted.get(key) ?? [0, 0];
    counted.set(key, [before + 1, bytesBefore + bytes]);
  };
  for (const request of requests) {
    const { at, status } = request;
    add("minutes", at - (at % MINUTE), at - (at % MINUTE) + MINUTE, {}, request);
    add("hours", at - (at % HOUR), at - (at % HOUR) + HOUR, { "data.status": status }, request);
    for (let start = at - (at % (5 * MINUTE)); start > at - HOUR; start -= 5 * MINUTE)
      add("hopping", start, start + HOUR, {}, request);
  }
  for (const [ip, ofClient] of Map.groupBy(requests, (request) => request.ip)) {
    let visit: Request[] = [];
    const end = (): void => {
      const [from, to] = [visit[0]?.at ?? 0, (visit.at(-1)?.at ?? 0) + 30 * MINUTE];
      for (const request of visit) add("visits", from, to, { "data.client_ip": ip }, request);
      visit = [];
    };
    for (const request of ofClient.toSorted((a, b) => a.at - b.at)) {
      if (request.at - (visit.at(-1)?.at ?? request.at) >= 30 * MINUTE) end();
      visit.push(request);
    }
    end();
  }
  return counted;
}

/** The key of a recounted window. */
export function recountKey(name: string, start: number, end: number, group: unknown): string {
  return `${name} ${start} ${end} ${JSON.stringify(group)}`;
}

/** The source that a line is dealt out to, when there are several: each client's lines to one. */
export function sourceOf(line: string, sources: number): number {
  return (line.codePointAt(2) ?? 0) % sources;
}
