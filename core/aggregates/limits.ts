/**
 * Events in one state, at most: 89 years at 100,000 a second. A stored count beyond it is corrupt; and 32 states of this size
 * can still be merged before a count stops being a safe integer.
 */
export const MAX_COUNT = 2 ** 48;
