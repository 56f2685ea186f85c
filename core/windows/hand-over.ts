import { FIRST_MAP, IN_TRANSIT, type Move, planMoves, type SlotMap } from "./slot-map.ts";

/**
 * Slots that are in transit at once. Their events wait, so few at a time; each wave drains its givers and has its takers write all
 * they remember, so not too few. With 1.5 million ids remembered, the most there can be, those of a wave are 5 MB of the 32 MB that a
 * call may carry.
 */
export const WAVE_SLOTS = 64;
/** Slots that go from one object to another. */
export interface Leg {
  readonly from: number;
  readonly to: number;
  readonly slots: readonly number[];
}

/** Slots under way. */
export interface Wave {
  /** Of the map that shows them in transit; orders to the objects carry it. */
  readonly epoch: number;
  readonly legs: readonly Leg[];
  /** How many of its steps are done. */
  readonly done: number;
}

/** What home keeps of a tenant's shards. */
export interface HandOver {
  /** What whoever sends events is told. */
  readonly map: SlotMap;
  /** Shards wanted. */
  readonly count: number;
  readonly wave: Wave | null;
  /** The highest number an object of the tenant has had: what is asked for figures, even when it owns nothing any more. */
  readonly highest: number;
}

/** One thing to do next. Each may be done again after a crash, with the same outcome. */
export type Step =
  /** The object stops taking events of these slots, and remembers that. */
  | { readonly do: "fence"; readonly object: number; readonly epoch: number; readonly slots: readonly number[] }
  /** The object looks up its late events, seals its log and tells home all it counted. */
  | { readonly do: "drain"; readonly object: number }
  /** The taker learns the ids the giver remembers of these slots, and takes their events from then on. */
  | {
      readonly do: "copy";
      readonly from: number;
      readonly to: number;
      readonly epoch: number;
      readonly slots: readonly number[];
    }
  /** Home shows the slots at their new owners. */
  | { readonly do: "publish" }
  /** The giver forgets the ids it gave. */
  | { readonly do: "release"; readonly object: number; readonly epoch: number; readonly slots: readonly number[] };

/** One shard, at home. */
export const AT_HOME: HandOver = { map: FIRST_MAP, count: 1, wave: null, highest: 0 };

/** With another number of shards wanted. Slots under way arrive first. */
export function aimFor(state: HandOver, count: number): HandOver {
  return { ...state, count, highest: Math.max(state.highest, count === 1 ? 0 : count) };
}

/** True while slots are under way or still have to go. */
export function isMoving({ map, count, wave }: HandOver): boolean {
  return wave !== null || planMoves(map.owners, count).length > 0;
}

/** The objects that will give slots in the next wave; none while one is under way. */
export function nextGivers(state: HandOver): readonly number[] {
  return state.wave === null ? [...new Set(nextMoves(state).map(({ from }) => from))] : [];
}

/** With the next slots under way, if any are to go and none are yet. To be persisted before the first step is done. */
export function begin(state: HandOver): HandOver {
  if (state.wave !== null) return state;
  const moves = nextMoves(state);
  if (moves.length === 0) return state;
  const epoch = state.map.epoch + 1;
  return { ...state, map: withOwners(state.map, epoch, moves, () => IN_TRANSIT), wave: wave(epoch, moves) };
}

/** The next step of the slots under way, or null when there are none. */
export function nextStep({ wave: moving }: HandOver): Step | null {
  return moving === null ? null : (stepsOf(moving)[moving.done] ?? null);
}

/** After the step that `nextStep` named. To be persisted before the one after it is done. */
export function stepDone(state: HandOver): HandOver {
  const { wave: moving } = state;
  if (moving === null) return state;
  const steps = stepsOf(moving);
  const isLast = moving.done + 1 >= steps.length;
  const next: HandOver = { ...state, wave: isLast ? null : { ...moving, done: moving.done + 1 } };
  if (steps[moving.done]?.do !== "publish") return next;
  const moves = moving.legs.flatMap(({ from, to, slots }) => slots.map((slot) => ({ slot, from, to })));
  return { ...next, map: withOwners(state.map, moving.epoch + 1, moves, ({ to }) => to) };
}

/** Objects that may hold events which are not in the store yet, ascending: owners, and those that give or take slots. */
export function objectsInUse({ map, wave: moving }: HandOver): readonly number[] {
  const legs = moving?.legs.flatMap(({ from, to }) => [from, to]) ?? [];
  return [...new Set([...map.owners, ...legs])].filter((object) => object !== IN_TRANSIT).sort((a, b) => a - b);
}

function nextMoves({ map, count }: HandOver): readonly Move[] {
  return planMoves(map.owners, count).slice(0, WAVE_SLOTS);
}

function withOwners(
  { owners }: SlotMap,
  epoch: number,
  moves: readonly Move[],
  ownerOf: (move: Move) => number,
): SlotMap {
  const moved = [...owners];
  for (const move of moves) moved[move.slot] = ownerOf(move);
  return { epoch, owners: moved };
}

function wave(epoch: number, moves: readonly Move[]): Wave {
  const legs = new Map<string, { from: number; to: number; slots: number[] }>();
  for (const { slot, from, to } of moves) {
    const leg = legs.get(`${from} ${to}`) ?? { from, to, slots: [] };
    leg.slots.push(slot);
    legs.set(`${from} ${to}`, leg);
  }
  return { epoch, legs: [...legs.values()], done: 0 };
}

/** Every giver is drained before the first slot is taken over: what it has not sealed, a taker could not find. */
function stepsOf({ epoch, legs }: Wave): readonly Step[] {
  const given = new Map<number, number[]>();
  for (const { from, slots } of legs) given.set(from, [...(given.get(from) ?? []), ...slots]);
  const givers = [...given].map(([object, slots]) => ({ object, epoch, slots }));
  return [
    ...givers.map((order): Step => ({ do: "fence", ...order })),
    ...givers.map(({ object }): Step => ({ do: "drain", object })),
    ...legs.map((leg): Step => ({ do: "copy", epoch, ...leg })),
    { do: "publish" },
    ...givers.map((order): Step => ({ do: "release", ...order })),
  ];
}
