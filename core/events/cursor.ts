import { hashPair } from "./bloom.ts";
import type { Cursor, EventQuery } from "./query.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const VERSION = "1";
const DECODED = /^1 (-?\d{1,16}) (\d+)-(\d+) ([A-Za-z0-9._:~-]{0,64})$/;

/**
 * A cursor as text for a URL: base64url of version, timestamp, check and id.
 *
 * The check covers the place and what it is a place in (tenant and query), so that a cursor of another query or one that was
 * damaged is noticed. It is no signature: who forges one gets another place in his own events.
 */
export function encodeCursor(cursor: Cursor, tenant: string, query: EventQuery): string {
  return toBase64Url(`${VERSION} ${cursor.timestamp} ${check(cursor, tenant, query)} ${cursor.id}`);
}

/** @returns null when the text is no cursor of this tenant and query (apart from `limit`, which may change between pages) */
export function decodeCursor(text: string, tenant: string, query: EventQuery): Cursor | null {
  const [, timestamp, first, second, id] = DECODED.exec(fromBase64Url(text) ?? "") ?? [];
  if (timestamp === undefined || id === undefined) return null;
  const cursor = { timestamp: Number(timestamp), id };
  // Encoding again also refuses another spelling of the same cursor.
  const isOurs = check(cursor, tenant, query) === `${first}-${second}` && encodeCursor(cursor, tenant, query) === text;
  return isOurs ? cursor : null;
}

function check({ timestamp, id }: Cursor, tenant: string, query: EventQuery): string {
  const asked = Object.entries(query)
    .map(([field, value]) => [field, Array.isArray(value) ? [...value].sort() : value])
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  return hashPair(JSON.stringify([tenant, timestamp, id, asked])).join("-");
}

/** Of ASCII text only, which is what is inside a cursor. */
function toBase64Url(ascii: string): string {
  let out = "";
  for (let i = 0; i < ascii.length; i += 3) {
    const [a, b, c] = [ascii.charCodeAt(i), ascii.charCodeAt(i + 1), ascii.charCodeAt(i + 2)];
    const bits = (a << 16) | (b << 8) | c;
    const quartet = [18, 12, 6, 0].map((shift) => ALPHABET[(bits >>> shift) & 63] ?? "");
    out += quartet.slice(0, Math.min(4, ascii.length - i + 1)).join("");
  }
  return out;
}

function fromBase64Url(text: string): string | null {
  let out = "";
  let bits = 0;
  let held = 0;
  for (const character of text) {
    const value = ALPHABET.indexOf(character);
    if (value < 0) return null;
    bits = ((bits << 6) | value) & 0xffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      out += String.fromCharCode((bits >>> held) & 0xff);
    }
  }
  return out;
}
