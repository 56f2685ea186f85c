/** A stretch of event time, both ends included. Epoch ms. */
export interface TimeSpan {
  readonly minTimestamp: number;
  readonly maxTimestamp: number;
}

/** From the oldest to the newest of some timestamps. @param rows which of them count; all when left out */
export function spanOf(timestamps: Float64Array, rows?: Uint32Array): TimeSpan {
  let minTimestamp = Infinity;
  let maxTimestamp = -Infinity;
  const count = rows?.length ?? timestamps.length;
  for (let k = 0; k < count; k++) {
    const timestamp = timestamps[rows === undefined ? k : (rows[k] ?? 0)] ?? 0;
    if (timestamp < minTimestamp) minTimestamp = timestamp;
    if (timestamp > maxTimestamp) maxTimestamp = timestamp;
  }
  return { minTimestamp, maxTimestamp };
}
