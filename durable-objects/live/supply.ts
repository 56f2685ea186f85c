import type { Hub } from "../../core/live/hub.ts";
import type { Topic } from "../../core/live/protocol.ts";

/** What the root and a node do differently: where states come from, and whom else to tell. */
export interface Supply {
  /** Fetches the states of topics. Never throws: failures go to the hub. */
  request(topics: readonly Topic[]): Promise<void>;
  /** Runs every 20 s while there is anything to care for. */
  check(): Promise<void>;
  /** A socket came or went. @param pass the name under which it was sent here */
  socketsChanged(pass?: string): void;
  /** Whether `check` has to run again. */
  readonly hasWork: boolean;
}

/** What a supply needs of the object around it. */
export interface HubShell {
  readonly hub: Hub;
  readonly socketCount: () => number;
  /** Sends what the hub has collected. */
  readonly flush: () => void;
  /** Nobody waits for it; failures are logged. */
  readonly background: (what: string, work: Promise<void>) => void;
}
