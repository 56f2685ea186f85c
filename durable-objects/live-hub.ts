import { DurableObject } from "cloudflare:workers";
import type { PublishedFrame } from "../core/live/protocol.ts";

/** Fans topics of one tenant out to hibernating WebSockets. */
export class LiveHub extends DurableObject<Env> {
  /** Answers, and that is all: `GET /ready` asks whether Durable Objects do. */
  ready(): boolean {
    return true;
  }

  /** Takes what changed from a source and sends it to who follows it. */
  async publish(_frames: readonly PublishedFrame[]): Promise<void> {}

  /** Closes every socket that was opened with this key. */
  async revoke(_keyId: string): Promise<void> {}
}
