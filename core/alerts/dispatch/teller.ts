import type { Bundle, Telling } from "./bundle.ts";
import type { DispatchMessage } from "./terms.ts";
import type { Work } from "./work.ts";

/** A message before what is known of its alerts is added. */
interface Draft extends Pick<DispatchMessage, "id" | "kind" | "channels"> {
  readonly firing?: readonly string[];
  readonly resolved?: readonly string[];
}

/** Makes the messages of one change, each after the one before to the same channel. */
export class Teller {
  readonly #work: Work;
  readonly messages: DispatchMessage[] = [];

  constructor(work: Work) {
    this.#work = work;
  }

  /** Tells of a bundle. @param nth how manieth message of the bundle it is */
  announce(bundle: Bundle, { firing, resolved, isRepeat }: Telling, nth: number): void {
    const { groupBy, id } = bundle;
    // A channel that still owes an answer to the last message needs no reminder of it.
    const channels = isRepeat ? bundle.channels.filter((channel) => !this.#owes(bundle, channel)) : bundle.channels;
    if (groupBy !== null) {
      this.tell(bundle, { id: messageIdOf(id, String(nth)), kind: "bundle", channels, firing, resolved });
      return;
    }
    const kind = firing.length > 0 ? ("firing" as const) : ("resolved" as const);
    const messageId = isRepeat ? `${messageIdOf(id, kind)}_${nth}` : messageIdOf(id, kind);
    this.tell(bundle, { id: messageId, kind, channels, firing, resolved });
  }

  #owes({ newest }: Bundle, channel: string): boolean {
    const last = newest[channel];
    return last !== undefined && this.#work.isWaiting(last, channel);
  }

  tell(bundle: Bundle, message: Draft): void {
    if (message.channels.length === 0) return;
    const work = this.#work;
    const known = work.bundles.get(bundle.key) ?? bundle;
    const earlier = Object.entries(known.newest).filter(([channel]) => message.channels.includes(channel));
    const newest = { ...known.newest, ...Object.fromEntries(message.channels.map((channel) => [channel, message.id])) };
    // A bundle of which nothing is left has nothing more to say.
    if (work.bundles.get(bundle.key) !== null) work.bundles.set(bundle.key, { ...known, newest });
    const { firing = [], resolved = [] } = message;
    this.messages.push({
      ...message,
      threadId: known.id,
      after: Object.fromEntries(earlier),
      firing: firing.flatMap((id) => work.alert(id) ?? []),
      resolved: resolved.flatMap((id) => work.ended(id) ?? []),
      bundle: known,
    });
  }
}

/** The webhook-id of what happened to an alert or a bundle. */
export function messageIdOf(id: string, what: string): string {
  return `msg_${id}_${what}`;
}
