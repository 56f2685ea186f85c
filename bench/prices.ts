// Cloudflare's list prices beyond what the paid plan includes, in US dollars.
// Sources, read in November 2026: developers.cloudflare.com/queues/platform/pricing, /durable-objects/platform/pricing,
// /d1/platform/pricing and /workers/platform/pricing.

/** Per million. */
export const PRICE_PER_MILLION = {
  /** Requests to the Worker; a batch that a queue delivers is one too. */
  workerRequests: 0.3,
  /** CPU milliseconds of the Worker. Those of objects are not billed. */
  workerCpuMs: 0.02,
  /** A queue operation: writing, reading or deleting 64 KB of a message. */
  queueOperations: 0.4,
  /** RPC calls, fetches and alarms of Durable Objects. */
  objectRequests: 0.15,
  /** GB-seconds that objects were awake, 128 MB each. */
  objectGbSeconds: 12.5,
  /** Rows written to D1, per index as well. */
  d1RowsWritten: 1,
  d1RowsRead: 0.001,
  /** Rows written to an object's SQLite, per index as well; setting an alarm is one. */
  objectRowsWritten: 1,
  objectRowsRead: 0.001,
} as const;

export type Priced = keyof typeof PRICE_PER_MILLION;

/** How many of each there were. */
export type Quantities = Readonly<Record<Priced, number>>;

/** What they cost, in dollars, item by item. */
export function priceOf(quantities: Quantities): Record<Priced, number> {
  const prices = { ...PRICE_PER_MILLION } as Record<Priced, number>;
  for (const item of Object.keys(prices)) {
    if (isPriced(item)) prices[item] = (quantities[item] * PRICE_PER_MILLION[item]) / 1e6;
  }
  return prices;
}

function isPriced(item: string): item is Priced {
  return Object.hasOwn(PRICE_PER_MILLION, item);
}
