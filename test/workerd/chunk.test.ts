import { expect, test } from "vitest";
import { packChunk, unpackChunk } from "../../storage/chunk.ts";

test("chunks of every size come back whole from workerd's zlib", () => {
  for (let size = 1; size < 3_000_000; size = Math.ceil(size * 1.17)) {
    // Digits of a growing number: text that compresses, but not to nothing.
    let text = "";
    for (let k = 0; text.length < size; k++) text += Math.imul(k, 2654435761).toString(36);
    const whole = text.slice(0, size);
    expect(unpackChunk(packChunk(whole)) === whole, `${size} characters`).toBe(true);
  }
});
