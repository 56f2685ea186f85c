/** What one message on the events queue holds (content type "v8"). */
export interface EventMessage {
  readonly v: 1;
  readonly tenant: string;
  /** UUID of this message; the same in every redelivery. */
  readonly batch: string;
  /** Events inside, ≥ 1. */
  readonly n: number;
  /** Epoch ms when ingest accepted it. */
  readonly acceptedAt: number;
  /** `packChunk` of the columnar text, a buffer of its own (a view of a larger one would send all of it). */
  readonly body: Uint8Array;
}

/** What a consumer puts on the dead-letter queue when it gives a message up. */
export interface PoisonMessage {
  readonly v: 1;
  readonly kind: "poison";
  readonly message: EventMessage;
  readonly reason: string;
}

/** Raw columnar text in one message, bytes of UTF-8: what a consumer must be able to hold several of. */
export const MAX_MESSAGE_TEXT_BYTES = 2_000_000;

/** What a message costs beyond its body: the platform's ~100 B of metadata, the other fields and the v8 framing. */
export const MESSAGE_OVERHEAD_BYTES = 400;

/** Aim for a message with its overhead: the platform bills each started 64 KB of a message, for write, read and delete. */
export const TARGET_MESSAGE_BYTES = 64_000;

/** No message is ever larger: the platform refuses 128 KB. */
export const MAX_MESSAGE_BYTES = 127_000;

/** True when `value` has the shape of an EventMessage. The body is not looked into. */
export function isEventMessage(value: unknown): value is EventMessage {
  if (typeof value !== "object" || value === null) return false;
  const { v, tenant, batch, n, acceptedAt, body } = value as Partial<Record<keyof EventMessage, unknown>>;
  return (
    v === 1 &&
    typeof tenant === "string" &&
    typeof batch === "string" &&
    typeof n === "number" &&
    typeof acceptedAt === "number" &&
    body instanceof Uint8Array
  );
}

/** True when `value` has the shape of a PoisonMessage. */
export function isPoisonMessage(value: unknown): value is PoisonMessage {
  if (typeof value !== "object" || value === null) return false;
  const { v, kind, message, reason } = value as Partial<Record<keyof PoisonMessage, unknown>>;
  return v === 1 && kind === "poison" && typeof reason === "string" && isEventMessage(message);
}
