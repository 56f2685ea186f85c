import { Buffer } from "node:buffer";
import type { VapidKeys } from "../../core/alerts/channels/push.ts";
import type { Settings } from "./tables.ts";
import { seal, unseal } from "./vault.ts";

const PUBLIC = "push_public_key";
const SEALED = "push_private_key_sealed";

/** The key pair by which push services know a tenant. Made once; the private half is encrypted at rest. */
export class PushKeys {
  readonly #settings: Settings;
  readonly #context: string;
  readonly #encryptionKey: string;
  #pair: Promise<VapidKeys> | null = null;

  constructor(settings: Settings, tenant: string, encryptionKey: string) {
    this.#settings = settings;
    this.#context = `${tenant}/push-key`;
    this.#encryptionKey = encryptionKey;
  }

  /** The pair, a new one the first time or when ENCRYPTION_KEY has changed since. @throws MissingKeyError */
  async keys(): Promise<VapidKeys> {
    // One promise for all, or two first calls would make two pairs and browsers subscribe with the one that is lost.
    this.#pair ??= this.#load();
    try {
      return await this.#pair;
    } catch (error) {
      this.#pair = null;
      throw error;
    }
  }

  async #load(): Promise<VapidKeys> {
    const stored = await this.#read();
    if (stored !== null) return stored;
    const made = await newKeys();
    const sealed = await seal(made.privateKey, this.#context, this.#encryptionKey);
    this.#settings.write(PUBLIC, made.publicKey);
    this.#settings.write(SEALED, Buffer.from(sealed).toString("base64"));
    return made;
  }

  async #read(): Promise<VapidKeys | null> {
    const [publicKey, sealed] = [this.#settings.read(PUBLIC), this.#settings.read(SEALED)];
    if (typeof publicKey !== "string" || typeof sealed !== "string") return null;
    const privateKey = await unseal(Buffer.from(sealed, "base64"), this.#context, this.#encryptionKey);
    return privateKey === null ? null : { publicKey, privateKey };
  }
}

async function newKeys(): Promise<VapidKeys> {
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
  if (!("publicKey" in pair)) throw new Error("no key pair");
  const raw = await crypto.subtle.exportKey("raw", pair.publicKey);
  const jwk = await crypto.subtle.exportKey("jwk", pair.privateKey);
  if (!(raw instanceof ArrayBuffer) || !("d" in jwk) || jwk.d === undefined) throw new Error("no exported key");
  return { publicKey: Buffer.from(raw).toString("base64url"), privateKey: jwk.d };
}
