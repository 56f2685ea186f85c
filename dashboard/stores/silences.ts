import { signal } from "@preact/signals";
import { fields, instant, list, text } from "../live/decode.ts";

/** Raised when a silence was made or ended here, so that lists ask again. */
export const silencesChanged = signal(0);

/** Which alerts are kept quiet, and how long. */
export interface Silence {
  readonly id: string;
  readonly matchers: string;
  readonly startsMs: number;
  readonly endsMs: number;
  readonly comment: string;
}

/** One matcher as the API takes it. */
export interface Matcher {
  readonly name: string;
  readonly op: string;
  readonly value: string;
}

const LINE = /^(.+?)\s*(=~|!~|!=|=)\s*(.*)$/;

/** Read matchers, one a line: `name = value`. A line that is none is passed on whole, so that the server can say so. */
export function matchersOf(lines: string): Matcher[] {
  return lines
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .map((line) => {
      const found = LINE.exec(line);
      return { name: found?.[1] ?? line, op: found?.[2] ?? "", value: found?.[3] ?? "" };
    });
}

/** Read the answer of `GET /api/v1/silences`. */
export function decodeSilences(data: unknown): Silence[] {
  return list(fields(data)?.["silences"], decodeSilence);
}

function decodeSilence(value: unknown): Silence | null {
  const found = fields(value);
  const id = text(found?.["id"]);
  if (found === null || id === "") return null;
  return {
    id,
    matchers: list(found["matchers"], matcherText).join(", "),
    startsMs: instant(found["starts_at"]) ?? 0,
    endsMs: instant(found["ends_at"]) ?? 0,
    comment: text(found["comment"]),
  };
}

function matcherText(value: unknown): string | null {
  const found = fields(value);
  return found === null ? null : `${text(found["name"])} ${text(found["op"])} ${text(found["value"])}`;
}
