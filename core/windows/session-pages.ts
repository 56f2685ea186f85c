/**
 * Where sessions are kept, so that those near an event are found with few reads and a page stays small.
 *
 * Problem: an event, however late, must find the sessions of its group that end less than a gap before it or begin less than a gap
 * after it; a session may last for seconds or for months; and neither all sessions nor an index of them fit in memory.
 * Rule: a session lies on the page of the stretch of time in which it starts. Pages of level 0 are four gaps long, each
 * further level's 64 times as long, and a session lies on the lowest level whose pages are at least as long as it is. So on each
 * level only the page of the event, the next and the two before can hold a session near it. One that grows moves up.
 * Why not one level: the farthest that any session reaches back would have to be searched for every event.
 */
import type { Plan } from "./plan.ts";
import {
  byStart,
  decodeSessions,
  encodePage,
  findOpenFirst,
  noteOpen,
  openEndOf,
  type Session,
  type SessionPage,
  sessionsOn,
} from "./session-page.ts";
import {
  type DirtyRecord,
  keysBetween,
  type RestingRecord,
  type StoredKeys,
  type WindowContext,
} from "./window-set.ts";

const GAPS_PER_PAGE = 4;
/** What is decoded takes a few times its encoded size. */
const MEMORY_FACTOR = 4;
const LEVEL_FACTOR = 64;
const USUAL_LEVELS = 4;
/** Missing keys remembered, at some 40 bytes each. */
const MAX_MISSING = 50_000;
const NONE: readonly Session[] = [];
/** Keys of a level begin at its multiple of this; event times are between 0 and far below it. */
const LEVEL_KEYS = 2 ** 48;

export class SessionPages {
  /** In memory, by key. */
  readonly resident = new Map<number, SessionPage>();
  /** Keys that storage is known not to have, so that it is not asked for each event anew. */
  readonly #missing = new Set<number>();
  /** Pages that came into memory since the last `takeDirty`. */
  unwritten = 0;
  /** Of each level: the pages of the stretch lately looked at, as events of one call are mostly near each other. */
  readonly #near: { readonly from: number; readonly to: number; readonly pages: readonly SessionPage[] }[] = [];
  /** Levels in use. */
  levels: number;
  readonly #context: WindowContext;
  readonly #gapMs: number;
  /** Of a page on each of the first levels, ms: asked for several times per event. */
  readonly #lengths: readonly number[];
  #partialBefore: number;
  #watermark: number;

  constructor(context: WindowContext, gapMs: number) {
    this.#context = context;
    this.#gapMs = gapMs;
    this.#lengths = Array.from({ length: USUAL_LEVELS }, (_, level) => GAPS_PER_PAGE * gapMs * LEVEL_FACTOR ** level);
    this.#watermark = context.watermark;
    this.#partialBefore = context.partialBefore;
    this.levels = context.state?.levels ?? 1;
    for (const key of context.state?.open ?? []) this.#hold(Math.floor(key / LEVEL_KEYS), key % LEVEL_KEYS);
  }

  get plan(): Plan {
    return this.#context.plan;
  }

  /**
   * Sessions of a group that a run of events from `first` to `last` belongs to, in order: for one event none, one, or two that it joins.
   * A long run looks at a page for every four gaps or more of it, and it has an event in each gap.
   */
  near(group: string, first: number, last: number): Session[] {
    const found: Session[] = [];
    for (let level = 0; level < this.levels; level++) {
      for (const { sessions } of this.#pagesNear(level, first, last)) {
        for (const session of sessions.get(group) ?? NONE) {
          if (session.first - this.#gapMs < last && first < session.last + this.#gapMs) found.push(session);
        }
      }
    }
    return found.length < 2 ? found : found.sort((a, b) => a.first - b.first);
  }

  /** True when the page of a session is still the right one if its last event is at `last`. */
  isPlace({ first, last: before }: Session, last: number): boolean {
    const shortest = this.#length(0);
    return last - first <= shortest || this.#levelOf(last - first) === this.#levelOf(before - first);
  }

  /** The page that a session from `first` to `last` lies on. */
  pageOf({ first, last }: { readonly first: number; readonly last: number }): SessionPage {
    const level = this.#levelOf(last - first);
    this.levels = Math.max(this.levels, level + 1);
    return this.#hold(level, this.#pageStart(level, first));
  }

  add(session: Session): void {
    const page = this.pageOf(session);
    const ofGroup = page.sessions.get(session.session);
    if (ofGroup === undefined) page.sessions.set(session.session, [session]);
    else ofGroup.push(session);
    page.dirty = true;
    noteOpen(page, session);
  }

  /** Takes a session off its page; to be done before it changes. */
  remove(session: Session): void {
    const page = this.pageOf(session);
    const left = (page.sessions.get(session.session) ?? []).filter((other) => other !== session);
    if (left.length === 0) page.sessions.delete(session.session);
    else page.sessions.set(session.session, left);
    if (page.openFirst === session) page.openFirst = undefined;
    page.dirty = true;
  }

  find(group: string, start: number): Session | undefined {
    for (let level = 0; level < this.levels; level++) {
      const page = this.#read(level, this.#pageStart(level, start));
      const found = page?.sessions.get(group)?.find(({ first }) => first === start);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Closes the sessions that end at or before the watermark. */
  close(watermark: number): Session[] {
    this.#watermark = watermark;
    const closing: Session[] = [];
    for (const page of this.resident.values()) {
      if (page.openEnd > watermark) continue;
      for (const session of sessionsOn(page)) {
        if (session.closed || session.end > watermark) continue;
        session.closed = true;
        closing.push(session);
      }
      findOpenFirst(page);
    }
    return closing;
  }

  /** End of the earliest open session, or null. */
  earliestOpenEnd(): number | null {
    for (;;) {
      let earliest: SessionPage | undefined;
      for (const page of this.resident.values()) {
        if (page.openEnd !== Infinity && (earliest === undefined || page.openEnd < earliest.openEnd)) earliest = page;
      }
      if (earliest === undefined) return null;
      const said = earliest.openEnd;
      if (openEndOf(earliest) === said) return said;
    }
  }

  completeFrom(at: number): void {
    this.#partialBefore = at;
    for (const session of this.inMemory()) session.partial = session.start < at;
  }

  *inMemory(): IterableIterator<Session> {
    for (const page of this.resident.values()) yield* sessionsOn(page);
  }

  /** Sessions of one level that start in [from, to), by start, then group. */
  *ofLevel(level: number, from: number, to: number, stored: StoredKeys): IterableIterator<Session> {
    const base = level * LEVEL_KEYS;
    const firstKey = base + Math.max(0, this.#pageStart(level, Math.max(0, from)));
    const lastKey = base + Math.min(Math.max(0, to), LEVEL_KEYS);
    for (const key of keysBetween(firstKey, lastKey, stored, this.resident.keys())) {
      const page = this.#read(level, key - base);
      if (page === undefined) continue;
      const inRange = [...sessionsOn(page)].filter(({ first }) => first >= from && first < to);
      yield* inRange.sort(byStart);
    }
  }

  takeDirty(): DirtyRecord[] {
    const records: DirtyRecord[] = [];
    this.unwritten = 0;
    for (const page of this.resident.values()) {
      if (page.dirty) {
        const parts = encodePage(page);
        if (parts.length + page.storedParts > 0) records.push({ key: page.key, parts, storedParts: page.storedParts });
        page.dirty = false;
        page.storedParts = parts.length;
        page.storedBytes = parts.reduce((sum, part) => sum + part.length, 0);
      }
      if (page.sessions.size === 0) this.forget(page.key);
    }
    return records;
  }

  resting(): RestingRecord[] {
    return [...this.resident.values()]
      .filter((page) => !page.dirty && page.openEnd === Infinity)
      .map(({ key, start, storedBytes }) => ({ key, at: start, bytes: MEMORY_FACTOR * storedBytes }));
  }

  openKeys(): number[] {
    return [...this.resident.values()].filter((page) => openEndOf(page) !== Infinity).map(({ key }) => key);
  }

  /** Drops a page from memory. */
  forget(key: number): void {
    this.#near.length = 0;
    this.resident.delete(key);
  }

  /** The lowest level whose pages are at least so long. */
  #levelOf(length: number): number {
    let level = 0;
    while (this.#length(level) < length) level++;
    return level;
  }

  /** Pages of a level on which sessions may lie that a run of events from `first` to `last` belongs to, in memory from now on. */
  #pagesNear(level: number, first: number, last: number): readonly SessionPage[] {
    const length = this.#length(level);
    const from = Math.max(0, this.#pageStart(level, first - this.#gapMs - length));
    const to = this.#pageStart(level, last + this.#gapMs - 1);
    const known = this.#near[level];
    if (known !== undefined && known.from === from && known.to === to) return known.pages;
    const pages: SessionPage[] = [];
    for (let start = from; start <= to; start += length) {
      const page = this.#stored(level, start);
      if (page !== undefined) pages.push(page);
    }
    this.#near[level] = { from, to, pages };
    return pages;
  }

  #length(level: number): number {
    return this.#lengths[level] ?? GAPS_PER_PAGE * this.#gapMs * LEVEL_FACTOR ** level;
  }

  #pageStart(level: number, at: number): number {
    const length = this.#length(level);
    return Math.floor(at / length) * length;
  }

  /** A page in memory from now on, made if there is none. */
  #hold(level: number, start: number): SessionPage {
    const stored = this.#stored(level, start);
    if (stored !== undefined) return stored;
    const page = this.#emptyPage(level, start);
    this.#keep(page);
    this.#missing.delete(page.key);
    return page;
  }

  /** A page in memory from now on, if there is one. */
  #stored(level: number, start: number): SessionPage | undefined {
    const key = level * LEVEL_KEYS + start;
    const resident = this.resident.get(key);
    if (resident !== undefined || this.#missing.has(key)) return resident;
    const page = this.#load(level, start);
    if (page !== undefined) {
      this.#keep(page);
      return page;
    }
    if (this.#missing.size >= MAX_MISSING) this.#missing.clear();
    this.#missing.add(key);
    return undefined;
  }

  #keep(page: SessionPage): void {
    this.#near.length = 0;
    this.resident.set(page.key, page);
    this.unwritten++;
  }

  /** A page to look at, from memory or storage. */
  #read(level: number, start: number): SessionPage | undefined {
    return this.resident.get(level * LEVEL_KEYS + start) ?? this.#load(level, start);
  }

  #load(level: number, start: number): SessionPage | undefined {
    const key = level * LEVEL_KEYS + start;
    const parts = this.#context.load([key]).get(key);
    if (parts === undefined) return undefined;
    const page = this.#emptyPage(level, start);
    for (const session of decodeSessions(parts, start, this.#gapMs, this.plan)) {
      session.closed = session.end <= this.#watermark;
      session.partial = session.start < this.#partialBefore;
      const ofGroup = page.sessions.get(session.session);
      if (ofGroup === undefined) page.sessions.set(session.session, [session]);
      else ofGroup.push(session);
    }
    findOpenFirst(page);
    page.storedParts = parts.length;
    page.storedBytes = parts.reduce((sum, part) => sum + part.length, 0);
    return page;
  }

  #emptyPage(level: number, start: number): SessionPage {
    const key = level * LEVEL_KEYS + start;
    const sessions = new Map<string, Session[]>();
    const open = { openEnd: Infinity, openFirst: undefined };
    return { key, level, start, sessions, ...open, dirty: false, storedBytes: 0, storedParts: 0 };
  }
}
