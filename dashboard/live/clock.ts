import { computed, signal } from "@preact/signals";

/** The viewer's clock, epoch ms, one second at a time. */
export const wallMs = signal(Date.now());

/** How far the server's clock is ahead of the viewer's, ms. */
export const serverAheadMs = signal(0);

/** The server's clock, epoch ms: ages are right even where the viewer's clock is not. */
export const serverNowMs = computed(() => wallMs.value + serverAheadMs.value);

/** Keep `wallMs` moving. */
export function startClock(): void {
  setInterval(() => {
    wallMs.value = Date.now();
  }, 1_000);
}
