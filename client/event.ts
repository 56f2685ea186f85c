// An event on its way: its text is fixed and its id given the moment the caller hands it over, so every attempt to send it
// is the same event to the platform, which counts an id once.
import { uuidv7 } from "../core/events/uuid.ts";

/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** An event as the caller gives it. The platform refuses other fields; put them into `data` or `metadata`. */
export interface EventInput {
  /** 1 to 64 of `A-Za-z0-9._:-`; a UUIDv7 is made when absent. The platform counts an id once. */
  readonly id?: string;
  /** Dotted name, 1 to 128 characters, e.g. `order.created`. */
  readonly type: string;
  readonly source: string;
  /** RFC 3339 or epoch ms; the moment of the call when absent. */
  readonly timestamp?: string | number;
  readonly severity?: "low" | "medium" | "high" | "critical";
  readonly data?: { readonly [key: string]: Json };
  readonly metadata?: { readonly [key: string]: Json };
  readonly correlation_id?: string;
  readonly session_id?: string;
  readonly user_id?: string;
  readonly tags?: readonly string[];
}

/** Bytes of one event as JSON; the platform's own limit. */
export const MAX_EVENT_BYTES = 32_000;

/** What a stored group of events is known by, and how many of them are not settled yet. */
export interface Segment {
  readonly key: string;
  live: number;
}

/** One event inside the client. */
export interface Entry {
  readonly id: string;
  /** The event as compact JSON; never changes. */
  readonly text: string;
  /** Of `text` as UTF-8. */
  readonly bytes: number;
  /** Order of the calls; 0 for those restored from a store. */
  readonly seq: number;
  /** True once delivered, rejected or dropped: what becomes known later changes nothing. */
  settled: boolean;
  /** Where the store keeps it, if it does. */
  segment: Segment | null;
}

/** Why an event never entered the buffer. */
export interface Unsendable {
  readonly id: string | null;
  readonly reason: "not_json" | "too_large";
  readonly message: string;
}

const utf8 = new TextEncoder();

/**
 * Fixes id, timestamp and text of an event.
 *
 * The timestamp is always written out: one that the platform took from its own clock would differ between two attempts.
 * @param nowMs epoch ms
 */
export function makeEntry(event: EventInput, seq: number, nowMs: number): Entry | Unsendable {
  let id: string | null = null;
  try {
    id = event.id ?? newId(nowMs);
    const text = JSON.stringify({ ...event, id, timestamp: event.timestamp ?? Math.floor(nowMs) });
    const bytes = utf8.encode(text).length;
    if (bytes <= MAX_EVENT_BYTES) return { id, text, bytes, seq, settled: false, segment: null };
    return { id, reason: "too_large", message: `${bytes} bytes as JSON, of at most ${MAX_EVENT_BYTES}` };
  } catch (error) {
    return { id, reason: "not_json", message: messageOf(error) };
  }
}

/** An event that a store kept, as it was; null when the line is not one of ours. */
export function restoreEntry(text: string, segment: Segment): Entry | null {
  try {
    const { id }: { id?: unknown } = JSON.parse(text);
    if (typeof id !== "string") return null;
    return { id, text, bytes: utf8.encode(text).length, seq: 0, settled: false, segment };
  } catch {
    return null;
  }
}

/** A UUIDv7. @param nowMs epoch ms */
export function newId(nowMs: number): string {
  return uuidv7(Math.max(0, Math.floor(nowMs)), crypto.getRandomValues(new Uint8Array(16)));
}

/** What an exception says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
