import { ApiError, type ErrorCode } from "../http.ts";
import { type ParsedEvents, eventList } from "./parse.ts";

/** Bytes of UTF-8 in one frame from a producer. */
export const MAX_FRAME_BYTES = 1_000_000;

/** What a producer's frame asks for. */
export type ClientFrame =
  | { readonly type: "ping" }
  | { readonly type: "events"; readonly parsed: ParsedEvents; readonly bytes: number }
  | { readonly type: "bad"; readonly error: ApiError };

/** An error answer on a socket: the fields of the HTTP envelope that say something there. */
export interface ErrorFrame {
  readonly type: "error";
  readonly error: ErrorCode;
  readonly message: string;
  readonly details: unknown;
  /** Whole seconds. */
  readonly retry_after?: number;
}

/** Reads one text frame; what is wrong with it comes back as a value, because the frames around it are not to blame. */
export function readFrame(text: string, bytes: number): ClientFrame {
  try {
    return parseFrame(text, bytes);
  } catch (error) {
    if (error instanceof ApiError) return { type: "bad", error };
    throw error;
  }
}

function parseFrame(text: string, bytes: number): ClientFrame {
  const frame = frameObject(text);
  switch (frame["type"]) {
    case "ping":
      return { type: "ping" };
    case "event":
      if (!Object.hasOwn(frame, "event")) throw badFrame('An event frame must have "event".');
      return { type: "events", parsed: { values: [frame["event"]], indexes: null, unparsed: [] }, bytes };
    case "batch":
      if (!Array.isArray(frame["events"])) throw badFrame('A batch frame must have "events", a list.');
      return { type: "events", parsed: eventList(frame["events"]), bytes };
    default:
      throw badFrame('A frame\'s type must be "event", "batch" or "ping".');
  }
}

function frameObject(text: string): Record<string, unknown> {
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch {
    throw badFrame("The frame is not JSON.");
  }
  if (typeof frame !== "object" || frame === null) throw badFrame("A frame must be a JSON object.");
  return Object.fromEntries(Object.entries(frame));
}

function badFrame(message: string): ApiError {
  return new ApiError("bad_request", message);
}

/** The error as a frame. */
export function errorFrame({ code, message, details, retryAfterSeconds }: ApiError): ErrorFrame {
  const retry = retryAfterSeconds === undefined ? {} : { retry_after: Math.ceil(retryAfterSeconds) };
  return { type: "error", error: code, message, details, ...retry };
}
