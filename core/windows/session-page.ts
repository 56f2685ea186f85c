import { ByteReader, ByteWriter, CorruptStateError } from "../bytes.ts";
import type { Plan } from "./plan.ts";
import type { GroupState } from "./window-state.ts";
import { compareText, type WindowView } from "./window-set.ts";

/** What the session was before a call that changed it. */
export interface SessionBefore {
  /** Starts by which readers know it and what it absorbed, as far as they may not be its own. */
  readonly starts: readonly number[];
  readonly wasClosed: boolean;
}

/** A run of one group's events, each less than the gap from the next: [first, last + gap). Times are epoch ms. */
export class Session implements WindowView {
  readonly session: string;
  readonly group: GroupState;
  first: number;
  last: number;
  revision: number;
  closed: boolean;
  partial: boolean;
  /** Set from a call's first change of it until the call is settled. */
  before: SessionBefore | undefined;
  /** The session that this one became part of. */
  absorbedBy: Session | undefined;
  readonly #gapMs: number;

  constructor(group: GroupState, gapMs: number, first: number, last: number, revision: number) {
    this.session = group.key;
    this.group = group;
    this.first = first;
    this.last = last;
    this.revision = revision;
    this.closed = false;
    this.partial = false;
    this.#gapMs = gapMs;
  }

  get start(): number {
    return this.first;
  }

  get end(): number {
    return this.last + this.#gapMs;
  }

  get groups(): ReadonlyMap<string, GroupState> {
    return new Map([[this.session, this.group]]);
  }
}

/** Sessions of one level that start in one stretch of time, by group and in order. One record of storage. */
export interface SessionPage {
  readonly key: number;
  readonly level: number;
  /** Epoch ms. */
  readonly start: number;
  readonly sessions: Map<string, Session[]>;
  /** No open session here ends before this; Infinity when none is open. */
  openEnd: number;
  /** One that ended then; it may have grown since. */
  openFirst: Session | undefined;
  dirty: boolean;
  storedBytes: number;
  storedParts: number;
}

/** The order in which sessions are listed. */
export function byStart(a: Session, b: Session): number {
  return a.first - b.first || compareText(a.session, b.session);
}

/** Every session of a page. */
export function* sessionsOn(page: SessionPage): IterableIterator<Session> {
  for (const ofGroup of page.sessions.values()) yield* ofGroup;
}

/** To be told of a session that came to its page or is open again. */
export function noteOpen(page: SessionPage, session: Session): void {
  if (session.closed || session.end >= page.openEnd) return;
  page.openEnd = session.end;
  page.openFirst = session;
}

/** The end of the page's earliest open session, Infinity when none is open. What the page says may be too early: sessions grow and close without telling it. */
export function openEndOf(page: SessionPage): number {
  const { openFirst, openEnd } = page;
  if (openFirst === undefined || openFirst.closed || openFirst.end !== openEnd) findOpenFirst(page);
  return page.openEnd;
}

/** Has the page say exactly which of its sessions ends first. */
export function findOpenFirst(page: SessionPage): void {
  page.openEnd = Infinity;
  page.openFirst = undefined;
  for (const ofGroup of page.sessions.values()) for (const session of ofGroup) noteOpen(page, session);
}

const VERSION = 1;
/** Well under the 2 MB a row may hold. */
const MAX_PART_BYTES = 1_000_000;
/** More than a group can have on a page: it is four gaps long, or 64 times as long as the shortest session on it. */
const MAX_SESSIONS_OF_GROUP = 100;

/** Encodes a page as parts of at most about 1 MB, each readable by itself; none when it is empty. */
export function encodePage(page: SessionPage): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let groups: Uint8Array[] = [];
  let bytes = 0;
  const flush = (): void => {
    if (groups.length === 0) return;
    const writer = new ByteWriter();
    writer.u8(VERSION);
    writer.varint(groups.length);
    for (const group of groups) writer.bytes(group);
    parts.push(writer.toUint8Array());
    groups = [];
    bytes = 0;
  };
  for (const [key, sessions] of page.sessions) {
    const encoded = encodeGroup(key, sessions, page.start);
    if (bytes + encoded.length > MAX_PART_BYTES) flush();
    groups.push(encoded);
    bytes += encoded.length;
  }
  flush();
  return parts;
}

function encodeGroup(key: string, sessions: readonly Session[], pageStart: number): Uint8Array {
  const writer = new ByteWriter();
  writer.string(key);
  writer.varint(sessions.length);
  for (const session of sessions) {
    writer.varint(session.first - pageStart);
    writer.varint(session.last - session.first);
    writer.varint(session.revision);
    for (const accumulator of session.group.accumulators) accumulator.encode(writer);
  }
  return writer.toUint8Array();
}

/** @throws CorruptStateError when a part was not written by `encodePage` for these measures */
export function* decodeSessions(
  parts: readonly Uint8Array[],
  pageStart: number,
  gapMs: number,
  plan: Plan,
): IterableIterator<Session> {
  for (const part of parts) {
    const reader = new ByteReader(part);
    if (reader.u8() !== VERSION) throw new CorruptStateError("unknown version of a session page");
    const groups = reader.varint();
    for (let g = 0; g < groups; g++) {
      const group = new ByteReader(reader.bytes());
      const key = group.string();
      const sessions = group.varint(MAX_SESSIONS_OF_GROUP);
      for (let s = 0; s < sessions; s++) {
        const first = pageStart + group.varint();
        const last = first + group.varint();
        const revision = group.varint();
        const accumulators = plan.measures.map(({ measure }) => measure.decode(group));
        yield new Session({ key, accumulators }, gapMs, first, last, revision);
      }
    }
  }
}
