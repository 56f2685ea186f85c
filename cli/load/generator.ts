import { createHash } from "node:crypto";
import { uuidv7 } from "../../core/events/uuid.ts";

/** Numbers that look random and are the same for the same seed. */
export interface Random {
  /** 0 inclusive to 1 exclusive. */
  next(): number;
  /** A whole number below `n`. */
  below(n: number): number;
  /** One of a list that is not empty. */
  pick<T>(list: readonly [T, ...T[]]): T;
}

/**
 * sfc32, seeded by SHA-256 of a text: passes PractRand, four words of state, no multiplication.
 *
 * @see Chris Doty-Humphrey, PractRand (`sfc32`)
 */
export function createRandom(seed: string): Random {
  const words = createHash("sha256").update(seed).digest();
  let [a, b, c, counter] = [words.readInt32LE(0), words.readInt32LE(4), words.readInt32LE(8), 1];
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return (sum >>> 0) / 2 ** 32;
  };
  const below = (n: number): number => Math.floor(next() * n);
  return { next, below, pick: ([first, ...rest]) => rest[below(rest.length + 1) - 1] ?? first };
}

/** An event as the API takes it. */
export interface MadeEvent {
  readonly id: string;
  readonly type: string;
  readonly source: string;
  readonly timestamp: number;
  readonly severity: "low" | "medium" | "high";
  readonly user_id: string;
  readonly data: Readonly<Record<string, string | number>>;
}

const PATHS = ["/", "/products", "/products/42", "/cart", "/checkout", "/search", "/login", "/about"] as const;
const STATUSES = [200, 200, 200, 200, 200, 200, 200, 301, 304, 404, 500] as const;

/**
 * An endless, seeded stream of events of a web shop: mostly requests, some sign-ins, orders and payments.
 *
 * @param users  how many users there are, 1 or more
 */
export function createGenerator(seed: string, users: number): (timestamp: number) => MadeEvent {
  const random = createRandom(seed);
  const bytes = new Uint8Array(16);
  return (timestamp) => {
    for (let i = 0; i < bytes.length; i++) bytes[i] = random.below(256);
    const user_id = `user-${random.below(users)}`;
    return { id: uuidv7(timestamp, bytes), source: "load", timestamp, user_id, ...makeContent(random) };
  };
}

function makeContent(random: Random): Pick<MadeEvent, "type" | "severity" | "data"> {
  const kind = random.next();
  if (kind < 0.8) {
    const status = random.pick(STATUSES);
    const severity = status >= 500 ? "high" : status >= 400 ? "medium" : "low";
    const data = {
      method: "GET",
      path: random.pick(PATHS),
      status,
      bytes: random.below(50_000),
      duration_ms: random.below(800),
    };
    return { type: "web.request", severity, data };
  }
  if (kind < 0.9)
    return { type: "user.login", severity: "low", data: { device: random.pick(["phone", "laptop", "tablet"]) } };
  const total = random.below(20_000) / 100;
  if (kind < 0.97) return { type: "order.placed", severity: "low", data: { total, items: 1 + random.below(5) } };
  return {
    type: "payment.failed",
    severity: "high",
    data: { total, reason: random.pick(["card_declined", "timeout"]) },
  };
}
