import type { AlertRecord } from "../../core/alerts/alert.ts";
import type { AlertFile } from "./answers.ts";
import type { ChannelHealth } from "./channel-health.ts";
import type { AlertDesk } from "./desk.ts";

/** Everything that is known of an alert. What its bundle said of it belongs to it too. */
export function alertFile(record: AlertRecord, desk: AlertDesk, health: ChannelHealth, nowMs: number): AlertFile {
  const { log, outbox } = desk;
  const threads = [...new Set([record.id, record.thread ?? record.id])];
  const held = health.held(nowMs);
  const waiting = threads
    .flatMap((thread) => outbox.waiting(thread))
    .map((one) => ({
      ...one,
      isHeld: held.has(one.channelId),
      dueAt: Math.max(one.dueAt, held.get(one.channelId) ?? 0),
    }));
  const deliveries = threads.flatMap((thread) => outbox.deliveries(thread)).sort((a, b) => a.at - b.at);
  return { alert: desk.json(record), history: log.history(record.id), deliveries, waiting };
}
