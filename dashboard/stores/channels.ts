import { computed, signal } from "@preact/signals";
import { type Fields, fields, instant, jsonFields, list, number, text } from "../live/decode.ts";
import { ask } from "../session/session.ts";
import type { JsonValue } from "../../core/events/event.ts";

/** Where notifications go; secrets are never in it. */
export interface Channel {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly config: Readonly<Record<string, JsonValue>>;
  /** `closed` is the ordinary state; `open` means that it failed so often that it rests. Empty when the server does not say. */
  readonly circuit: string;
  /** Notifications that have not reached it yet. */
  readonly waiting: number;
  /** Why the newest attempt that failed did, if none has been delivered since; else empty. */
  readonly trouble: string;
}

/** Null before the first answer. */
export const channels = signal<readonly Channel[] | null>(null);

/** Their names, by id. */
export const channelNames = computed(() => new Map((channels.value ?? []).map(({ id, name }) => [id, name])));

/** Ask for them anew. @throws ApiFailure */
export async function loadChannels(): Promise<void> {
  channels.value = list(fields(await ask({ method: "GET", path: "/api/v1/channels" }))?.["channels"], decodeChannel);
}

/** Forget what was shown: another key may belong to another tenant. */
export function forgetChannels(): void {
  channels.value = null;
}

/** Reads one channel of `GET /api/v1/channels`; null when it is none. */
export function decodeChannel(value: unknown): Channel | null {
  const found = fields(value);
  const id = text(found?.["id"]);
  if (found === null || id === "") return null;
  return {
    id,
    name: text(found["name"], id),
    type: text(found["type"]),
    config: jsonFields(found["config"]),
    ...decodeState(fields(found["state"]) ?? {}),
  };
}

function decodeState(state: Fields): Pick<Channel, "circuit" | "waiting" | "trouble"> {
  const isFailing = (instant(state["last_failed_at"]) ?? 0) > (instant(state["last_delivered_at"]) ?? 0);
  return {
    circuit: text(state["circuit"]),
    waiting: number(state["waiting"]),
    trouble: isFailing ? text(state["last_error"]) : "",
  };
}
