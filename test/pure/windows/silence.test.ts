import { describe, expect, test } from "vitest";
import { judgeSilence, MAX_OUTAGE_MS } from "../../../core/windows/silence.ts";

const NOW = 1_000_000;

describe("judgeSilence", () => {
  test("with everything applied, silence is the sources' own up to now", () => {
    expect(judgeSilence(null, 10, 10, NOW)).toEqual({ asOf: NOW, since: null });
    expect(judgeSilence({ at: 1, accepted: 9 }, 10, 11, NOW)).toEqual({ asOf: NOW, since: null });
  });

  test("with events on their way, waits for as many as had been accepted by now", () => {
    expect(judgeSilence(null, 10, 9, NOW)).toEqual({ asOf: null, since: { at: NOW, accepted: 10 } });
  });

  test("once those have come, believes the silence up to the moment of that count, whatever was accepted since", () => {
    const since = { at: NOW - 2000, accepted: 10 };
    expect(judgeSilence(since, 500, 9, NOW)).toEqual({ asOf: null, since });
    expect(judgeSilence(since, 500, 10, NOW)).toEqual({ asOf: since.at, since: { at: NOW, accepted: 500 } });
  });

  test("believes in events that do not come for 15 minutes and no longer", () => {
    const since = { at: NOW - MAX_OUTAGE_MS, accepted: 10 };
    expect(judgeSilence(since, 10, 9, NOW - 1)).toEqual({ asOf: null, since });
    expect(judgeSilence(since, 10, 9, NOW)).toEqual({ asOf: NOW, since });
  });
});
