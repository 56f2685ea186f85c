// What a name resolves to, by DNS over HTTPS: https://developers.cloudflare.com/1.1.1.1/encryption/dns-over-https/make-api-requests/dns-json/
import { isPrivateAddress } from "../../core/alerts/address-guard.ts";

const RESOLVER = "https://cloudflare-dns.com/dns-query";
const TIMEOUT_MS = 2_000;
/** How long an answer is believed, whatever its own time to live. */
const REMEMBER_MS = 300_000;
const MAX_REMEMBERED = 1_000;
/** Types of records that hold addresses: A and AAAA. */
const ADDRESS_TYPES: ReadonlySet<unknown> = new Set([1, 28]);

const known = new Map<string, { readonly at: number; readonly isPrivate: boolean }>();

/**
 * Whether a name leads into a network that is not the public internet. A resolver that does not answer says nothing: then
 * the Worker's public-only fetch is what is left. Between this answer and the call the name may change; Workers cannot pin an address.
 * @param nowMs epoch ms
 */
export async function leadsInside(host: string, nowMs: number): Promise<boolean> {
  const before = known.get(host);
  if (before !== undefined && nowMs - before.at < REMEMBER_MS) return before.isPrivate;
  const answers = await Promise.all([addressesOf(host, "A"), addressesOf(host, "AAAA")]);
  if (answers.every((answer) => answer === null)) return false;
  const isPrivate = answers.some((answer) => answer?.some(isPrivateAddress) === true);
  known.delete(host);
  known.set(host, { at: nowMs, isPrivate });
  const [oldest] = known.keys();
  if (known.size > MAX_REMEMBERED && oldest !== undefined) known.delete(oldest);
  return isPrivate;
}

/** @returns null when the resolver did not answer */
async function addressesOf(host: string, type: "A" | "AAAA"): Promise<string[] | null> {
  try {
    const response = await fetch(`${RESOLVER}?name=${encodeURIComponent(host)}&type=${type}`, {
      headers: { accept: "application/dns-json" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return readAddresses(await response.json());
  } catch {
    return null;
  }
}

function readAddresses(message: unknown): string[] | null {
  if (typeof message !== "object" || message === null || !("Status" in message)) return null;
  const records: unknown[] = "Answer" in message && Array.isArray(message.Answer) ? message.Answer : [];
  return records.flatMap((record) => {
    if (typeof record !== "object" || record === null || !("type" in record) || !("data" in record)) return [];
    return ADDRESS_TYPES.has(record.type) && typeof record.data === "string" ? [record.data] : [];
  });
}
