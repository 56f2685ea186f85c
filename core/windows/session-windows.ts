import type { Grouping } from "./batch-view.ts";
import { CurrentSessions, holds } from "./current-sessions.ts";
import { finiteOrNull } from "./finite.ts";
import type { Fragment } from "./fragment.ts";
import { type GroupKey, UNNUMBERED } from "./group-keys.ts";
import { byStart, noteOpen, Session, type SessionBefore } from "./session-page.ts";
import { SessionPages } from "./session-pages.ts";
import {
  byEnd,
  type Cells,
  type Change,
  type DirtyRecord,
  type RestingRecord,
  type StoredKeys,
  type WindowContext,
  type WindowName,
  type WindowSet,
  type WindowSetState,
  type WindowSizes,
} from "./window-set.ts";
import {
  copyGroup,
  emptyGroup,
  groupBytes,
  type GroupState,
  isSameGroup,
  mergeGroup,
  OVERFLOW_KEY,
} from "./window-state.ts";

/**
 * Runs of a group's events, each less than a gap from the next.
 *
 * An event that lies near two sessions makes one of them, closed ones as well: the result has everything of both, and when a part
 * of it had closed, the larger revision plus one. It is open again if it now ends after the watermark.
 * @see Akidau et al., "The Dataflow Model", VLDB 2015, section 2.2 (merging of session windows)
 */
export class SessionWindows implements WindowSet {
  watermark: number;
  readonly #pages: SessionPages;
  readonly #gapMs: number;
  partialBefore: number;
  /** Those with something in `before`. */
  #touched: Session[] = [];
  readonly #current: CurrentSessions;

  constructor(context: WindowContext, gapMs: number) {
    this.watermark = context.watermark;
    this.#gapMs = gapMs;
    this.partialBefore = context.partialBefore;
    this.#pages = new SessionPages(context, gapMs);
    const newest = context.state === undefined ? 0 : (context.state.newest ?? Infinity);
    this.#current = new CurrentSessions(this.#pages, newest);
  }

  cellsOf(timestamps: Float64Array, grouping: Grouping): Cells {
    const { rows } = grouping.selection;
    const sessions: Session[] = [];
    const of = new Int32Array(rows.length);
    const placeOf: number[] = [];
    for (let k = 0; k < rows.length; k++) {
      const at = timestamps[rows[k] ?? 0] ?? 0;
      const group = grouping.groupOf[k] ?? 0;
      let place = placeOf[group];
      const known = place === undefined ? undefined : sessions[place];
      if (place === undefined || known === undefined || !holds(known, at)) {
        const session = this.#sessionAt(grouping.keys[group] ?? OVERFLOW, at);
        if (place === undefined || session !== known) place = sessions.push(session) - 1;
        placeOf[group] = place;
      }
      of[k] = place;
    }
    // Only now is it certain which sessions have become one.
    return { groups: sessions.map((session) => lasting(session).group), of };
  }

  absorb({ first, last, group }: Fragment): void {
    this.#current.noteTime(last);
    mergeGroup(this.#sessionOver(group.key, first, last).group, group);
  }

  settle(): Change {
    const touched = this.#touched.filter(({ absorbedBy }) => absorbedBy === undefined);
    const gone: WindowName[] = [];
    for (const session of touched) {
      const { starts, wasClosed } = session.before ?? NEW;
      if (wasClosed) session.revision++;
      session.closed = session.end <= this.watermark;
      session.partial = session.start < this.partialBefore;
      session.before = undefined;
      const page = this.#pages.pageOf(session);
      page.dirty = true;
      noteOpen(page, session);
      for (const start of starts) if (start !== session.start) gone.push({ start, session: session.session });
    }
    this.#touched = [];
    return { touched, gone };
  }

  replace(from: number, to: number, fragments: Iterable<Fragment>, stored: StoredKeys): Change {
    const named = [...this.list(from, to, stored)].map(({ session, first, last }) => ({ session, first, last }));
    const known = ({ session, first, last }: (typeof named)[number]): Session[] =>
      this.#pages.near(session, first, last);
    const left = new Set(named.flatMap((session) => known(session).filter(({ first }) => first === session.first)));
    const touched: Session[] = [];
    const gone: WindowName[] = [];
    this.#current.clear();
    for (const { first, last, group } of fragments) {
      this.#current.noteTime(last);
      const old = this.#pages.near(group.key, first, last);
      for (const session of old) left.delete(session);
      if (this.#isAsBefore(old, first, last, group)) continue;
      touched.push(this.#put(first, last, group, old));
      gone.push(...namesOf(old.filter((session) => session.first !== first)));
    }
    for (const session of left) this.#pages.remove(session);
    gone.push(...namesOf(left));
    return { touched, gone };
  }

  completeFrom(at: number): void {
    this.partialBefore = Math.min(this.partialBefore, at);
    this.#pages.completeFrom(this.partialBefore);
  }

  advance(watermark: number): Session[] {
    this.watermark = watermark;
    return this.#pages.close(watermark).sort(byEnd);
  }

  /** Sessions may end at any time, so ends are counted complete gap by gap. */
  completeThrough(): number {
    return Math.floor(this.watermark / this.#gapMs) * this.#gapMs;
  }

  nextEnd(): number {
    return this.completeThrough() + this.#gapMs;
  }

  earliestOpenEnd(): number | null {
    return this.#pages.earliestOpenEnd();
  }

  countOpen(): number {
    let open = 0;
    for (const { closed } of this.#pages.inMemory()) if (!closed) open++;
    return open;
  }

  sizes(): WindowSizes {
    let openWindows = 0;
    let bytes = 0;
    for (const { closed, group } of this.#pages.inMemory()) {
      if (!closed) openWindows++;
      bytes += groupBytes(group);
    }
    return { openWindows, openGroups: openWindows, bytes };
  }

  find({ start, session }: WindowName): Session | undefined {
    return session === null ? undefined : this.#pages.find(session, start);
  }

  recent(): Iterable<Session> {
    return this.#pages.inMemory();
  }

  *list(from: number, to: number, stored: StoredKeys): IterableIterator<Session> {
    const levels = Array.from({ length: this.#pages.levels }, (_, level) => {
      const sessions = this.#pages.ofLevel(level, from, to, stored);
      return { sessions, next: sessions.next() };
    });
    for (;;) {
      let first: (typeof levels)[number] | undefined;
      for (const level of levels) {
        if (level.next.done === true) continue;
        if (first === undefined || first.next.done === true || byStart(level.next.value, first.next.value) < 0)
          first = level;
      }
      if (first === undefined || first.next.done === true) return;
      yield first.next.value;
      first.next = first.sessions.next();
    }
  }

  portions(from: number, to: number, stored: StoredKeys): Iterable<Session> {
    return this.list(from, to, stored);
  }

  *fragments(from: number, to: number, stored: StoredKeys): IterableIterator<Fragment> {
    yield* this.list(from, to, stored);
  }

  get unwritten(): number {
    return this.#pages.unwritten;
  }

  takeDirty(): DirtyRecord[] {
    return this.#pages.takeDirty();
  }

  resting(): RestingRecord[] {
    return this.#pages.resting();
  }

  forget(key: number): void {
    this.#current.clear();
    this.#pages.forget(key);
  }

  toJSON(): WindowSetState {
    return { open: this.#pages.openKeys(), levels: this.#pages.levels, newest: finiteOrNull(this.#current.newest) };
  }

  /** The session that holds an event of the group. */
  #sessionAt(key: GroupKey, at: number): Session {
    this.#current.noteTime(at);
    const current = this.#current.holding(key, at);
    if (current !== undefined) {
      this.#note(current);
      if (at > current.last) current.last = at;
      return current;
    }
    const session = this.#sessionOver(key.text, at, at);
    this.#current.note(key, session);
    return session;
  }

  /** The session that holds events of the group from `first` to `last`, each less than a gap from the next: made, stretched or joined of several. */
  #sessionOver(key: string, first: number, last: number): Session {
    const near = this.#pages.near(key, first, last);
    const session = near[0];
    if (session === undefined) return this.#create(key, first, last);
    this.#note(session);
    if (near.length === 1 && first >= session.first) {
      if (last <= session.last) return session;
      if (this.#pages.isPlace(session, last)) {
        session.last = last;
        return session;
      }
    }
    keepName(session);
    this.#pages.remove(session);
    for (const other of near.slice(1)) this.#join(session, other);
    session.first = Math.min(session.first, first);
    session.last = Math.max(session.last, last);
    this.#pages.add(session);
    return session;
  }

  #isAsBefore(old: readonly Session[], first: number, last: number, group: GroupState): boolean {
    const [session] = old;
    if (session === undefined || old.length > 1 || session.first !== first || session.last !== last) return false;
    return isSameGroup(session.group, group);
  }

  /** A session in place of others of its group. */
  #put(first: number, last: number, group: GroupState, old: readonly Session[]): Session {
    const isRevised = old.some(({ closed }) => closed);
    const revision = Math.max(0, ...old.map((session) => session.revision)) + (isRevised ? 1 : 0);
    for (const session of old) this.#pages.remove(session);
    const session = new Session(copyGroup(group, this.#pages.plan), this.#gapMs, first, last, revision);
    session.closed = session.end <= this.watermark;
    session.partial = session.start < this.partialBefore;
    this.#pages.add(session);
    return session;
  }

  #create(key: string, first: number, last: number): Session {
    const { plan } = this.#pages;
    const page = this.#pages.pageOf({ first, last });
    const isFull = page.sessions.size >= plan.maxGroups && !page.sessions.has(key);
    if (isFull && key !== OVERFLOW_KEY) return this.#sessionOver(OVERFLOW_KEY, first, last);
    const session = new Session(emptyGroup(key, plan), this.#gapMs, first, last, 0);
    session.before = NEW;
    this.#touched.push(session);
    this.#pages.add(session);
    return session;
  }

  #join(session: Session, next: Session): void {
    this.#note(next);
    keepName(next);
    this.#pages.remove(next);
    mergeGroup(session.group, next.group);
    session.last = Math.max(session.last, next.last);
    session.revision = Math.max(session.revision, next.revision);
    session.before = {
      starts: [...(session.before?.starts ?? []), ...(next.before?.starts ?? [])],
      wasClosed: session.before?.wasClosed === true || next.before?.wasClosed === true,
    };
    next.absorbedBy = session;
  }

  /** Keeps what readers know of the session, before the call's first change of it. */
  #note(session: Session): void {
    if (session.before !== undefined) return;
    session.before = session.closed ? WAS_CLOSED : WAS_OPEN;
    this.#touched.push(session);
  }
}

const OVERFLOW: GroupKey = { text: OVERFLOW_KEY, number: UNNUMBERED };
const NEW: SessionBefore = { starts: [], wasClosed: false };
/** Of the many that only go on: they keep the name by which readers know them. */
const WAS_OPEN: SessionBefore = { starts: [], wasClosed: false };
const WAS_CLOSED: SessionBefore = { starts: [], wasClosed: true };

/** The session is about to begin earlier or to become part of another. */
function keepName(session: Session): void {
  const { before, start } = session;
  if (before === WAS_OPEN || before === WAS_CLOSED) session.before = { starts: [start], wasClosed: before.wasClosed };
}

function namesOf(sessions: Iterable<Session>): WindowName[] {
  return Array.from(sessions, ({ start, session }) => ({ start, session }));
}

/** The session that this one is part of by now. */
function lasting(session: Session): Session {
  let last = session;
  while (last.absorbedBy !== undefined) last = last.absorbedBy;
  return last;
}
