import { alertJson } from "../../core/alerts/alert.ts";
import type { AlertJson, AlertRecord } from "../../core/alerts/alert.ts";
import type { DispatchMessage, Ended } from "../../core/alerts/dispatch/terms.ts";
import type { Instance } from "../../core/alerts/instance.ts";
import { groupBody, notificationBody } from "../../core/alerts/notification.ts";

/** The live state of an open alert, which is newer than its record. */
export type InstanceOf = (record: AlertRecord) => Instance | undefined;

/** What a message says, as JSON text. Null when there is nothing to say: its alert is gone. @param atMs epoch ms */
export function bodyOf(message: DispatchMessage, instanceOf: InstanceOf, atMs: number): string | null {
  const firing = message.firing.map((record) => alertJson(record, instanceOf(record)));
  const resolved = message.resolved.map(({ record }) => alertJson(record));
  if (message.kind === "bundle") return groupBody(message.bundle, { firing, resolved }, atMs);
  const [ended] = message.resolved;
  if (message.kind === "resolved") return ended === undefined ? null : endBody(ended, atMs);
  const [alert] = firing;
  const [record] = message.firing;
  if (alert === undefined || record === undefined) return null;
  const window = instanceOf(record)?.window ?? record.window;
  return notificationBody(message.kind, atMs, { alert, window, values: alert.values });
}

/** An end tells the window and the values that brought it about, where there were any. */
function endBody({ record, entry }: Ended, atMs: number): string {
  const alert: AlertJson = alertJson(record);
  const window = entry?.window ?? record.window;
  return notificationBody("resolved", atMs, { alert, window, values: entry?.values ?? record.values });
}
