// Message Encryption for Web Push (RFC 8291): the browser's public key and ours agree on a secret, from which the key of one
// aes128gcm record (RFC 8188) is derived. Only the browser can read it, not the push service in between.
import { Buffer } from "node:buffer";

/** The size of the one record; push services must take this much and no more. */
const RECORD_BYTES = 4_096;
const TAG_BYTES = 16;
const HEADER_BYTES = 86;
/** What fits: the record and its header in 4,096 bytes, less the tag and the delimiter. */
export const MAX_PUSH_BYTES = RECORD_BYTES - HEADER_BYTES - TAG_BYTES - 1;

const P256 = { name: "ECDH", namedCurve: "P-256" } as const;

/** Who can read it: of a subscription, base64url. */
export interface PushReader {
  readonly p256dh: string;
  readonly auth: string;
}

/** What must be new for each message. */
export interface PushNonce {
  readonly keys: CryptoKeyPair;
  /** 16 random bytes. */
  readonly salt: Uint8Array;
}

/**
 * Encrypts one push message.
 * @param plaintext at most MAX_PUSH_BYTES
 * @param nonce for tests only; made anew otherwise
 * @returns the body to post with `Content-Encoding: aes128gcm`
 * @throws RangeError when it is too long, DOMException when `p256dh` is not on the curve
 */
export async function encryptPush(plaintext: Uint8Array, reader: PushReader, nonce?: PushNonce): Promise<Uint8Array> {
  if (plaintext.length > MAX_PUSH_BYTES) throw new RangeError(`a push message holds ${MAX_PUSH_BYTES} bytes`);
  const { keys, salt } = nonce ?? (await newNonce());
  const theirs = Buffer.from(reader.p256dh, "base64url");
  const ours = Buffer.from(await rawKey(keys.publicKey));
  const shared = await agree(keys.privateKey, await importPushKey(reader.p256dh));
  const secret = Buffer.concat([text("WebPush: info\0"), theirs, ours]);
  const material = await hkdf(Buffer.from(reader.auth, "base64url"), shared, secret, 32);
  const key = await hkdf(salt, material, text("Content-Encoding: aes128gcm\0"), 16);
  const iv = await hkdf(salt, material, text("Content-Encoding: nonce\0"), 12);
  const cipher = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
  // The delimiter 2 says that this is the last record.
  const record = Buffer.concat([plaintext, Uint8Array.of(2)]);
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, cipher, record);
  return Buffer.concat([salt, uint32(RECORD_BYTES), Uint8Array.of(ours.length), ours, Buffer.from(sealed)]);
}

/** Reads a browser's public key. @throws DOMException when it is not a point of the curve */
export async function importPushKey(p256dh: string): Promise<CryptoKey> {
  return await crypto.subtle.importKey("raw", Buffer.from(p256dh, "base64url"), P256, true, []);
}

async function newNonce(): Promise<PushNonce> {
  const keys = await crypto.subtle.generateKey(P256, true, ["deriveBits"]);
  if (!("publicKey" in keys)) throw new Error("no key pair");
  return { keys, salt: crypto.getRandomValues(new Uint8Array(16)) };
}

async function rawKey(key: CryptoKey): Promise<ArrayBuffer> {
  const raw = await crypto.subtle.exportKey("raw", key);
  if (!(raw instanceof ArrayBuffer)) throw new Error("no raw key");
  return raw;
}

async function agree(ours: CryptoKey, theirs: CryptoKey): Promise<Uint8Array> {
  // The platform's types know the parameter as `$public`; it is `public`, as in the standard.
  const parameters = { name: "ECDH", public: theirs, $public: theirs };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, ours, 256));
}

async function hkdf(salt: Uint8Array, material: Uint8Array, info: Uint8Array, bytes: number): Promise<Uint8Array> {
  const key = await crypto.subtle.importKey("raw", material, "HKDF", false, ["deriveBits"]);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt, info }, key, bytes * 8));
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
