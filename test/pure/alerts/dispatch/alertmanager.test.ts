import { describe, expect, test } from "vitest";
import { look, MAX_MEMBERS, withMember } from "../../../../core/alerts/dispatch/bundle.ts";
import type { Bundle, BundlePolicy } from "../../../../core/alerts/dispatch/bundle.ts";
import { needsUpdate } from "../../../../core/alerts/dispatch/needs-update.ts";
import { windowOf } from "../fixtures.ts";
import { World } from "./world.ts";

// Cases of prometheus/alertmanager (Apache-2.0), written anew: notify/notify_test.go TestDedupStageNeedsUpdate and
// test/with_api_v2/acceptance/send_test.go. Times in seconds; theirs are checked within half a second, ours are exact.
const SECOND = 1000;
const set = (...ids: readonly number[]): ReadonlySet<string> => new Set(ids.map(String));

const told = (firing: ReadonlySet<string>, resolved: ReadonlySet<string>, at = 0) => ({ firing, resolved, at });

describe("TestDedupStageNeedsUpdate", () => {
  const NOW = 3_600_000;
  const minutesAgo = (minutes: number): number => NOW - minutes * 60_000;
  const TEN_MINUTES = 600_000;

  test.each([
    ["nothing told, something fires", null, set(2, 3, 4), set(), 0, false, true],
    ["nothing told, nothing fires", null, set(), set(2, 3, 4), 0, false, false],
    ["other alerts fire", told(set(1, 2, 3), set(), NOW), set(2, 3, 4), set(), 0, false, true],
    ["told at the beginning of time", told(set(1, 2, 3), set()), set(1, 2, 3), set(), 0, false, true],
    [
      "the same, before the repeat",
      told(set(1, 2, 3), set(), minutesAgo(9)),
      set(1, 2, 3),
      set(),
      TEN_MINUTES,
      false,
      false,
    ],
    [
      "the same, after the repeat",
      told(set(1, 2, 3), set(), minutesAgo(11)),
      set(1, 2, 3),
      set(),
      TEN_MINUTES,
      false,
      true,
    ],
    [
      "others ended, none had fired",
      told(set(), set(1, 2, 3), minutesAgo(11)),
      set(),
      set(3, 4, 5),
      TEN_MINUTES,
      true,
      false,
    ],
    [
      "one ended, ends are not told",
      told(set(1, 2), set(3), minutesAgo(9)),
      set(1),
      set(2, 3),
      TEN_MINUTES,
      false,
      false,
    ],
    ["one ended, ends are told", told(set(1, 2), set(3), minutesAgo(9)), set(1), set(2, 3), TEN_MINUTES, true, true],
    [
      "all ended, ends are not told",
      told(set(1, 2), set(3), minutesAgo(9)),
      set(),
      set(1, 2, 3),
      TEN_MINUTES,
      false,
      true,
    ],
    ["all ended, ends are told", told(set(1, 2), set(3), minutesAgo(9)), set(), set(1, 2, 3), TEN_MINUTES, true, true],
  ])("%s", (_, before, firing, resolved, repeatMs, takesEnds, expected) => {
    expect(needsUpdate(before, { firing, resolved }, repeatMs, NOW, takesEnds)).toBe(expected);
  });
});

/** What happens to an alert: it fires, or it ends. */
type Push = readonly [at: number, ...changes: string[]];

const policyOf = (wait: number, interval: number, repeat: number | null, tellsEnds = true): BundlePolicy => {
  const repeatMs = repeat === null ? null : repeat * SECOND;
  return { waitMs: wait * SECOND, intervalMs: interval * SECOND, repeatMs, tellsEnds };
};

/** Runs a bundle to `until`: what is told, as `seconds firing; resolved`. It is written down and read back between all steps. */
function run(policy: BundlePolicy, pushes: readonly Push[], until: number): string[] {
  const fresh = (): Bundle => {
    const state = { members: [], told: null, lookedAt: null, dueAt: null, sent: 0, newest: {} };
    return { key: "k", id: "b", ruleId: "r", channels: ["c"], groupBy: {}, policy, ...state };
  };
  const said: string[] = [];
  let bundle: Bundle | null = null;
  const lookUntil = (at: number): void => {
    while (bundle?.dueAt !== null && bundle !== null && bundle.dueAt <= at) {
      const now: number = bundle.dueAt;
      const looked: ReturnType<typeof look> = look(bundle, now);
      bundle = looked.bundle === null ? null : JSON.parse(JSON.stringify(looked.bundle));
      const { telling } = looked;
      if (telling === null) continue;
      const ended = telling.resolved.length === 0 ? "" : `; ${telling.resolved.join(" ")}`;
      said.push(`${now / SECOND} ${telling.firing.join(" ")}${ended}`);
    }
  };
  for (const [at, ...changes] of pushes) {
    lookUntil(at * SECOND - 1);
    for (const change of changes) {
      const isFiring = !change.startsWith("-");
      const member = { id: change.replace("-", ""), isFiring, isMuted: false, isTaken: false, holdsUntil: null };
      bundle = withMember(bundle ?? fresh(), member, at * SECOND);
    }
  }
  lookUntil(until * SECOND);
  return said;
}

describe("bundles", () => {
  test("TestBatching: the first waits for others, later ones for the interval, and all are told again after the repeat", () => {
    const said = run(
      policyOf(1, 1, 4.9),
      [
        [1.1, "1"],
        [1.7, "5"],
        [3.3, "2", "3", "4"],
      ],
      9.5,
    );
    expect(said).toEqual(["2.1 1 5", "4.1 1 5 2 3 4", "9.1 1 5 2 3 4"]);
  });

  test("TestRepeat: told at each interval while it fires, and once more when it has ended", () => {
    expect(
      run(
        policyOf(1, 1, 0.001),
        [
          [1, "t"],
          [3.5, "-t"],
        ],
        10,
      ),
    ).toEqual(["2 t", "3 t", "4 ; t"]);
  });

  test("TestResolved: all that ended are told of together", () => {
    const said = run(
      policyOf(1, 5, null),
      [
        [1, "v1", "v2", "v3"],
        [11, "-v1", "-v2", "-v3"],
      ],
      30,
    );
    expect(said).toEqual(["2 v1 v2 v3", "12 ; v1 v2 v3"]);
  });

  const filter: readonly Push[] = [
    [1, "v1", "v2"],
    [3, "-v1", "v3"],
    [11, "-v2"],
  ];

  test("TestResolvedFilter: an end is told with what fires", () => {
    expect(run(policyOf(1, 5, null), filter, 30)).toEqual(["2 v1 v2", "7 v2 v3; v1", "12 v3; v2"]);
  });

  test("TestResolvedFilter: whoever does not want ends hears of what is new only", () => {
    expect(run(policyOf(1, 5, null, false), [...filter, [20, "-v3"]], 40)).toEqual(["2 v1 v2", "7 v2 v3"]);
  });

  test("TestReload: a restart tells nothing twice, and what comes after waits for the interval", () => {
    expect(
      run(
        policyOf(1, 6, 600),
        [
          [1, "1"],
          [4, "2"],
        ],
        60,
      ),
    ).toEqual(["2 1", "8 1 2"]);
  });

  test("TestMergeAlerts: an alert that ended and fires again is another, told after the end of the first", () => {
    const said = run(
      policyOf(1, 1, null),
      [
        [1, "a"],
        [4.6, "-a"],
        [5.3, "b"],
      ],
      20,
    );
    expect(said).toEqual(["2 a", "5 ; a", "6.3 b"]);
  });

  test("what began and ended before anybody heard of it is never told", () => {
    expect(
      run(
        policyOf(10, 1, null),
        [
          [1, "a"],
          [5, "-a"],
        ],
        60,
      ),
    ).toEqual([]);
  });
});

test(`a bundle of ${MAX_MEMBERS} alerts is full: the next alert begins another`, () => {
  const world = new World({ group_by: [], group_wait: "0s", group_interval: "1m" });
  const values = Object.fromEntries(Array.from({ length: MAX_MEMBERS + 1 }, (_, k) => [`g${k}`, 9]));
  world.close(windowOf(1, values));
  world.alarm();
  const sizes = new Map<string, number>();
  for (const { messageId } of world.heard) sizes.set(messageId, (sizes.get(messageId) ?? 0) + 1);
  expect([...sizes.values()]).toEqual([MAX_MEMBERS, 1]);
});
