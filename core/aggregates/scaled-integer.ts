/** The number `units` · 2^`exponent`, exactly. */
export interface ScaledInteger {
  readonly units: bigint;
  readonly exponent: number;
}

/** The number `significand` · 2^`exponent`, for results that may lie outside the range of a double. */
export interface ScaledDouble {
  readonly significand: number;
  readonly exponent: number;
}

/** More than the 53 bits of a double plus one to round by, so that the sticky bit below decides ties only. */
const QUOTIENT_BITS = 70;
/** A step that keeps a significand of about 70 bits normal, whatever follows. */
const SCALE_STEP = 900;

/** a − b, exactly. */
export function subtract(a: ScaledInteger, b: ScaledInteger): ScaledInteger {
  const exponent = Math.min(a.exponent, b.exponent);
  return { units: (a.units << BigInt(a.exponent - exponent)) - (b.units << BigInt(b.exponent - exponent)), exponent };
}

/** a · b, exactly. */
export function multiply(a: ScaledInteger, b: ScaledInteger): ScaledInteger {
  return { units: a.units * b.units, exponent: a.exponent + b.exponent };
}

/**
 * a / divisor, the significand rounded once to nearest, ties to even. `divisor` is positive.
 *
 * The quotient is cut to about 70 bits; its last bit is set if anything was cut off ("sticky"), so that rounding those bits
 * to 53 gives what rounding the whole quotient would.
 */
export function divide(a: ScaledInteger, divisor: bigint): ScaledDouble {
  if (a.units === 0n) return { significand: 0, exponent: 0 };
  const magnitude = a.units < 0n ? -a.units : a.units;
  const shift = QUOTIENT_BITS + bitLength(divisor) - bitLength(magnitude);
  const numerator = shift > 0 ? magnitude << BigInt(shift) : magnitude;
  const denominator = shift > 0 ? divisor : divisor << BigInt(-shift);
  const quotient = numerator / denominator;
  const sticky = quotient * denominator === numerator ? 0n : 1n;
  const significand = Number(quotient | sticky);
  return { significand: a.units < 0n ? -significand : significand, exponent: a.exponent - shift };
}

/** √a rounded, within 1 unit in the last place. `a` must not be negative. */
export function squareRoot({ significand, exponent }: ScaledDouble): ScaledDouble {
  const odd = exponent % 2 !== 0;
  return { significand: Math.sqrt(odd ? significand * 2 : significand), exponent: (odd ? exponent - 1 : exponent) / 2 };
}

/** The double nearest to `a`; beyond the range of doubles ±Number.MAX_VALUE, since JSON has no infinity. */
export function toDouble({ significand, exponent }: ScaledDouble): number {
  let value = significand;
  let rest = exponent;
  for (; rest > SCALE_STEP; rest -= SCALE_STEP) value *= 2 ** SCALE_STEP;
  for (; rest < -SCALE_STEP; rest += SCALE_STEP) value *= 2 ** -SCALE_STEP;
  value *= 2 ** rest;
  // A negative number that rounds to zero is 0, not −0.
  return Math.min(Number.MAX_VALUE, Math.max(-Number.MAX_VALUE, value)) + 0;
}

/** Bits of a positive number, at most 3 too many. */
function bitLength(value: bigint): number {
  return value.toString(16).length * 4;
}
