/** A shorter ENCRYPTION_KEY is a mistake: 32 characters of base64url are 24 bytes. */
const MIN_KEY_CHARS = 32;
const IV_BYTES = 12;
/** Binds the derived key to this use, so that ENCRYPTION_KEY can serve others. */
const PURPOSE = "streamflow/channel-secrets/1";

/** The deployment has no usable ENCRYPTION_KEY. */
export class MissingKeyError extends Error {
  constructor() {
    super(`ENCRYPTION_KEY must be set to at least ${MIN_KEY_CHARS} characters`);
    this.name = "MissingKeyError";
  }
}

/**
 * Encrypts a text at rest: AES-GCM under a key derived from ENCRYPTION_KEY by HKDF.
 * @param context what the text belongs to; it cannot be opened as something else's
 * @returns a random nonce and the ciphertext
 * @throws MissingKeyError
 */
export async function seal(text: string, context: string, encryptionKey: string): Promise<Uint8Array> {
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
  const key = await deriveKey(encryptionKey);
  const sealed = await crypto.subtle.encrypt(parameters(iv, context), key, new TextEncoder().encode(text));
  const bytes = new Uint8Array(IV_BYTES + sealed.byteLength);
  bytes.set(iv);
  bytes.set(new Uint8Array(sealed), IV_BYTES);
  return bytes;
}

/** Opens what `seal` made. @returns null when the key has changed since, or the text or its context is not what was sealed */
export async function unseal(sealed: Uint8Array, context: string, encryptionKey: string): Promise<string | null> {
  try {
    const key = await deriveKey(encryptionKey);
    const [iv, ciphertext] = [sealed.slice(0, IV_BYTES), sealed.slice(IV_BYTES)];
    return new TextDecoder().decode(await crypto.subtle.decrypt(parameters(iv, context), key, ciphertext));
  } catch (error) {
    if (error instanceof DOMException || error instanceof MissingKeyError) return null;
    throw error;
  }
}

function parameters(iv: Uint8Array, context: string): SubtleCryptoEncryptAlgorithm {
  return { name: "AES-GCM", iv, additionalData: new TextEncoder().encode(context) };
}

async function deriveKey(encryptionKey: string): Promise<CryptoKey> {
  if (encryptionKey.length < MIN_KEY_CHARS) throw new MissingKeyError();
  const encoder = new TextEncoder();
  const material = await crypto.subtle.importKey("raw", encoder.encode(encryptionKey), "HKDF", false, ["deriveKey"]);
  const hkdf = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: encoder.encode(PURPOSE) };
  const aes = { name: "AES-GCM", length: 256 };
  return await crypto.subtle.deriveKey(hkdf, material, aes, false, ["encrypt", "decrypt"]);
}
