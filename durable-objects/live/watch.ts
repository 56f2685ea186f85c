import type { Hub } from "../../core/live/hub.ts";
import { CLOSE_REVOKED, CLOSE_UNHEARD } from "../../core/live/protocol.ts";
import type { Sockets } from "./sockets.ts";
import type { LiveSources } from "./sources.ts";

/** A reader that never acks, has been sent all it may be and has said nothing for so long is closed. */
const UNHEARD_MS = 60_000;

/** Looks after sockets that do nothing themselves: hears their pings, and closes those that are dead or have lost their key. */
export class Watch {
  readonly #hub: Hub;
  readonly #sockets: Sockets;
  readonly #close: (socket: WebSocket, code: number, reason: string) => void;

  constructor(hub: Hub, sockets: Sockets, close: (socket: WebSocket, code: number, reason: string) => void) {
    this.#hub = hub;
    this.#sockets = sockets;
    this.#close = close;
  }

  /** Readers that wait until they are heard of may have pinged, which wakes nobody. */
  hearPings(): void {
    for (const { id, heardAtMs } of this.#hub.unheard()) {
      const pingedAtMs = this.#sockets.pingedAtMs(id);
      if (pingedAtMs > heardAtMs) this.#hub.heardOf(id, pingedAtMs, Date.now());
    }
  }

  closeUnheard(): void {
    for (const { id, heardAtMs } of this.#hub.unheard()) {
      const socket = this.#sockets.byId(id);
      const isDead = Date.now() - heardAtMs > UNHEARD_MS;
      if (isDead && socket !== undefined) this.#close(socket, CLOSE_UNHEARD, "nothing was heard of this reader");
    }
  }

  /** Closes every socket that was opened with this key. */
  closeKey(keyId: string): void {
    for (const socket of this.#sockets.withKey(keyId)) this.#close(socket, CLOSE_REVOKED, "the key was revoked");
  }

  async closeRevoked(sources: LiveSources): Promise<void> {
    const keyIds = this.#sockets.keyIds();
    const active = await sources.activeKeys(keyIds);
    for (const keyId of keyIds) if (!active.has(keyId)) this.closeKey(keyId);
  }
}
