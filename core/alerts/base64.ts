const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Base64 of a text's UTF-8 bytes (RFC 4648, section 4), for mail: core has no platform to ask. */
export function base64(text: string): string {
  const bytes = new TextEncoder().encode(text);
  let out = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const [first = 0, second = 0, third = 0] = bytes.subarray(at, at + 3);
    const group = (first << 16) | (second << 8) | third;
    for (let digit = 0; digit < 4; digit++) out += ALPHABET.charAt((group >> (18 - 6 * digit)) & 63);
  }
  const missing = (3 - (bytes.length % 3)) % 3;
  return out.slice(0, out.length - missing) + "=".repeat(missing);
}
