import { type Level, LEVELS } from "../../core/alerts/level.ts";
import { fields, instant, list, number, text, type Fields } from "../live/decode.ts";

/** A rule as the page shows it. `body` is what would be sent back to keep it as it is. */
export interface RuleView {
  readonly id: string;
  readonly name: string;
  readonly aggregation: string;
  readonly condition: string;
  readonly threshold: number | null;
  readonly level: Level;
  readonly isEnabled: boolean;
  readonly channels: readonly string[];
  readonly openAlerts: number;
  /** End of the newest window that was evaluated, epoch ms; null before the first. */
  readonly evaluatedThroughMs: number | null;
  readonly lastError: string;
  readonly body: Fields;
}

/** Fields of an answer that are not the user's. */
const READ_ONLY = new Set(["id", "created_at", "updated_at", "state"]);

/** Read the answer of `GET /api/v1/rules`. */
export function decodeRules(data: unknown): RuleView[] {
  return list(fields(data)?.["rules"], decodeRule);
}

/** Read one rule; null when it is none. */
export function decodeRule(value: unknown): RuleView | null {
  const found = fields(value);
  const id = text(found?.["id"]);
  if (found === null || id === "") return null;
  const state = fields(found["state"]) ?? {};
  return {
    id,
    name: text(found["name"], id),
    aggregation: text(found["aggregation"]),
    condition: text(found["condition"]),
    threshold: typeof found["threshold"] === "number" ? found["threshold"] : null,
    level: LEVELS.find((level) => level === found["level"]) ?? "warning",
    isEnabled: found["enabled"] !== false,
    channels: list(found["channels"], (channel) => text(channel) || null),
    openAlerts: number(state["open_alerts"]),
    evaluatedThroughMs: instant(state["evaluated_through"]),
    lastError: text(state["last_error"]),
    body: Object.fromEntries(Object.entries(found).filter(([name]) => !READ_ONLY.has(name))),
  };
}
