const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/**
 * A version 7 UUID, lower case: sorts by time to the millisecond.
 * @param timestampMs epoch ms, an integer in 0 .. 2^48 - 1
 * @param random16    random bytes; 10 from `offset` + 6 on are used
 * @param offset      where this id's 16 bytes begin, so that one call for randomness serves many ids
 * @see RFC 9562 section 5.7
 */
export function uuidv7(timestampMs: number, random16: Uint8Array, offset = 0): string {
  const hex = (index: number): string => HEX[random16[offset + index] ?? 0] ?? "";
  const time = timestampMs.toString(16).padStart(12, "0");
  const version = HEX[((random16[offset + 6] ?? 0) & 0x0f) | 0x70] ?? "";
  const variant = HEX[((random16[offset + 8] ?? 0) & 0x3f) | 0x80] ?? "";
  return (
    `${time.slice(0, 8)}-${time.slice(8)}-${version}${hex(7)}-${variant}${hex(9)}-` +
    `${hex(10)}${hex(11)}${hex(12)}${hex(13)}${hex(14)}${hex(15)}`
  );
}

/** Epoch ms inside a version 7 UUID (either case); null when `id` is not one. */
export function uuidv7Time(id: string): number | null {
  if (id.length !== 36 || !UUID_V7.test(id)) return null;
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}
