import { Buffer } from "node:buffer";
import type { Role } from "../http.ts";

const PREFIX: Record<Role, string> = { ingest: "ing", viewer: "vwr", editor: "edt", admin: "adm" };
const ID_BYTES = 8;
/** 256 bits: far beyond guessing, so a plain SHA-256 is enough at rest (OWASP ASVS 5.0 11.4.1 asks slow hashes for low entropy only). */
const SECRET_BYTES = 32;
const PATTERN = /^(?:ing|vwr|edt|adm)_([0-9a-f]{16})\.[A-Za-z0-9_-]{43}$/;

/** A new key: `<prefix>_<id>.<secret>`, e.g. `ing_0123456789abcdef.…`. The id is public, the whole is the secret. */
export function makeApiKey(role: Role): { id: string; key: string } {
  const id = randomBytes(ID_BYTES).toString("hex");
  const secret = randomToken(SECRET_BYTES);
  return { id, key: `${PREFIX[role]}_${id}.${secret}` };
}

/** The id inside a key; null when the text has not the shape of one, so that junk costs no database read. */
export function apiKeyId(key: string): string | null {
  return PATTERN.exec(key)?.[1] ?? null;
}

/** Base64url text of `bytes` random bytes. */
export function randomToken(bytes: number): string {
  return randomBytes(bytes).toString("base64url");
}

/** SHA-256 of a text. */
export async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

/** Whether a SHA-256 digest equals one stored as hex, in time that does not tell where they differ. */
export function digestEquals(digest: Uint8Array, storedHex: string): boolean {
  if (!/^[0-9a-f]{64}$/.test(storedHex)) return false;
  return crypto.subtle.timingSafeEqual(digest, Buffer.from(storedHex, "hex"));
}

function randomBytes(count: number): Buffer {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(count)));
}
