import { computed, signal } from "@preact/signals";
import { fields, jsonFields, list, text } from "../live/decode.ts";
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
}

/** Null before the first answer. */
export const channels = signal<readonly Channel[] | null>(null);

export const channelNames = computed(() => new Map((channels.value ?? []).map(({ id, name }) => [id, name])));

/** Ask for them anew. @throws ApiFailure */
export async function loadChannels(): Promise<void> {
  channels.value = list(fields(await ask({ method: "GET", path: "/api/v1/channels" }))?.["channels"], decodeChannel);
}

/** Forget what was shown: another key may belong to another tenant. */
export function forgetChannels(): void {
  channels.value = null;
}

function decodeChannel(value: unknown): Channel | null {
  const found = fields(value);
  const id = text(found?.["id"]);
  if (found === null || id === "") return null;
  return {
    id,
    name: text(found["name"], id),
    type: text(found["type"]),
    config: jsonFields(found["config"]),
    circuit: text(fields(found["circuit"])?.["state"]) || text(found["circuit"]),
  };
}
