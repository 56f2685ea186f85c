import { type GroupKey, UNNUMBERED } from "./group-keys.ts";
import type { Session } from "./session-page.ts";
import type { SessionPages } from "./session-pages.ts";

/** Sessions lately found, by the number of their group's key: the next events of a group need not look for theirs. */
export class CurrentSessions {
  /** All in memory. */
  readonly #byNumber: Session[] = [];
  readonly #pages: SessionPages;
  #newest: number;

  /** @param newest no event so far is later, epoch ms */
  constructor(pages: SessionPages, newest: number) {
    this.#pages = pages;
    this.#newest = newest;
  }

  /** No event so far is later, epoch ms. */
  get newest(): number {
    return this.#newest;
  }

  /** There are events up to this moment. To be told before a session is asked for, or changed. */
  noteTime(at: number): void {
    if (at > this.#newest) this.#newest = at;
  }

  /** The session that an event of the group is certain to be of alone, and to leave on its page; undefined when it has to be looked for. */
  holding({ text, number }: GroupKey, at: number): Session | undefined {
    if (number === UNNUMBERED) return undefined;
    const session = this.#byNumber[number];
    return session !== undefined && session.session === text && this.#isIn(session, at) ? session : undefined;
  }

  /** An event of the group was found to be of this session. */
  note({ number }: GroupKey, session: Session): void {
    if (number !== UNNUMBERED) this.#byNumber[number] = session;
  }

  /** Sessions are replaced, or leave memory. */
  clear(): void {
    this.#byNumber.length = 0;
  }

  #isIn(session: Session, at: number): boolean {
    if (holds(session, at)) return true;
    if (session.absorbedBy !== undefined || at < session.first) return false;
    // Another one after it would begin a gap after its end, and nothing is as new as that.
    return this.#newest < session.end && this.#pages.isPlace(session, at);
  }
}

/** True when an event of its group needs nothing but to be counted. */
export function holds({ absorbedBy, first, last }: Session, at: number): boolean {
  return absorbedBy === undefined && at >= first && at <= last;
}
