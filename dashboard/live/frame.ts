import type { HeardFrame } from "../../core/live/connection-state.ts";
import { fields, instant, text } from "./decode.ts";

/** A frame as heard, with the server's clock where it tells it. */
export interface DecodedFrame {
  readonly frame: HeardFrame;
  readonly serverTimeMs: number | null;
}

/** Decode one message of the live socket. What is not understood counts as a sign of life and nothing more. */
export function decodeFrame(message: unknown): DecodedFrame {
  const found = fields(typeof message === "string" ? parse(message) : null) ?? {};
  return { frame: heardFrame(found), serverTimeMs: instant(found["server_time"]) };
}

function heardFrame(found: Readonly<Record<string, unknown>>): HeardFrame {
  const topic = text(found["topic"]);
  const seq = text(found["seq"]);
  const type = found["type"];
  if (type === "gap") return { type, topic: topic === "" ? null : topic };
  if ((type !== "snapshot" && type !== "delta") || topic === "" || seq === "") return { type: "other" };
  return { type, topic, seq, data: found["data"] };
}

function parse(message: string): unknown {
  try {
    return JSON.parse(message);
  } catch {
    return null;
  }
}
