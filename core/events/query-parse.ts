import { decodeCursor } from "./cursor.ts";
import { SEVERITIES } from "./event.ts";
import type { PageRequest } from "./page.ts";
import { ALL_EVENTS, type EventQuery } from "./query.ts";
import { parseRfc3339 } from "./rfc3339.ts";

export const DEFAULT_LIMIT = 100;
export const MAX_LIMIT = 1_000;
/** Values in one list: each becomes a condition of the SQL statement, of which D1 allows 100 parameters and 100 KB. */
export const MAX_VALUES = 20;
const MAX_VALUE_CHARACTERS = 256;

/** The names of a list: as a parameter of a URL, and as JSON. Either is taken in both places. */
const LISTS = {
  type: "types",
  types: "types",
  source: "sources",
  sources: "sources",
  user_id: "userIds",
  user_ids: "userIds",
  session_id: "sessionIds",
  session_ids: "sessionIds",
  correlation_id: "correlationIds",
  correlation_ids: "correlationIds",
  severity: "severities",
  severities: "severities",
  tag: "tags",
  tags: "tags",
} as const;
type ListField = (typeof LISTS)[keyof typeof LISTS];

/** Parameters of an event query by their outside names; a list where one may be given several times. */
export type QueryParameters = ReadonlyMap<string, unknown>;

/** A query, or the first parameter that is wrong and why. */
export type ParsedQuery =
  | { readonly ok: true; readonly request: PageRequest }
  | { readonly ok: false; readonly field: string; readonly message: string };

/** Thrown and caught in this file only. */
class BadParameter extends Error {
  readonly field: string;
  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

/**
 * Parameters of a URL: repeated ones become lists, and lists are also cut at commas. A value with a comma in it can only be
 * asked for by JSON.
 */
export function parametersOf(pairs: Iterable<readonly [string, string]>): QueryParameters {
  const parameters = new Map<string, unknown>();
  for (const [name, text] of pairs) {
    const known = parameters.get(name);
    const values = Object.hasOwn(LISTS, name) ? text.split(",") : [text];
    parameters.set(name, Array.isArray(known) ? [...known, ...values] : values);
  }
  for (const [name, values] of parameters) {
    if (!Object.hasOwn(LISTS, name) && Array.isArray(values) && values.length === 1) parameters.set(name, values[0]);
  }
  return parameters;
}

/**
 * A page request from outside. Unknown names are refused: a misspelt filter would silently return everything.
 * @param tenant who asks; the cursor must be of the same tenant and query
 */
export function parseQuery(parameters: QueryParameters, tenant: string): ParsedQuery {
  try {
    const query = readQuery(parameters);
    const limit = readLimit(parameters.get("limit"));
    return { ok: true, request: { query, limit, after: readCursor(parameters.get("cursor"), tenant, query) } };
  } catch (error) {
    if (error instanceof BadParameter) return { ok: false, field: error.field, message: error.message };
    throw error;
  }
}

function readQuery(parameters: QueryParameters): EventQuery {
  const lists: Partial<Record<ListField, readonly string[]>> = {};
  for (const [name, value] of parameters) {
    if (["from", "to", "order", "limit", "cursor"].includes(name)) continue;
    if (!isListName(name)) throw new BadParameter(name, "is not a parameter of an event query");
    const field = LISTS[name];
    lists[field] = readList(name, [...(lists[field] ?? []), ...(Array.isArray(value) ? value : [value])]);
  }
  const fromMs = readTime("from", parameters.get("from"));
  const toMs = readTime("to", parameters.get("to"));
  if (fromMs !== null && toMs !== null && fromMs >= toMs)
    throw new BadParameter("to", "must be after from, which is included while to is not");
  const severities = (lists.severities ?? []).map(readSeverity);
  return { ...ALL_EVENTS, ...lists, severities, fromMs, toMs, order: readOrder(parameters.get("order")) };
}

const isListName = (name: string): name is keyof typeof LISTS => Object.hasOwn(LISTS, name);

function readList(name: string, values: readonly unknown[]): readonly string[] {
  const texts = values.map((value) => {
    if (typeof value !== "string") throw new BadParameter(name, "must be text or a list of texts");
    if (value === "") throw new BadParameter(name, "must not be empty");
    if (value.length > MAX_VALUE_CHARACTERS)
      throw new BadParameter(name, `must not be longer than ${MAX_VALUE_CHARACTERS} characters`);
    return value;
  });
  const distinct = [...new Set(texts)];
  if (distinct.length === 0) throw new BadParameter(name, "must not be an empty list");
  if (distinct.length > MAX_VALUES) throw new BadParameter(name, `must not have more than ${MAX_VALUES} values`);
  return distinct;
}

function readSeverity(text: string): EventQuery["severities"][number] {
  const severity = SEVERITIES.find((known) => known === text);
  if (severity === undefined) throw new BadParameter("severity", `must be one of ${SEVERITIES.join(", ")}`);
  return severity;
}

function readTime(name: string, value: unknown): number | null {
  if (value === undefined || value === null) return null;
  // A "+" that was not escaped in a URL arrives as a space.
  const text = String(value).replace(/ (?=\d\d:\d\d$)/, "+");
  const at = /^-?\d+$/.test(text) ? Number(text) : parseRfc3339(text);
  if (!Number.isSafeInteger(at)) throw new BadParameter(name, "must be an RFC 3339 time or epoch milliseconds");
  return at;
}

function readOrder(value: unknown): EventQuery["order"] {
  if (value === undefined) return "desc";
  if (value !== "asc" && value !== "desc") throw new BadParameter("order", "must be desc or asc");
  return value;
}

function readLimit(value: unknown): number {
  if (value === undefined) return DEFAULT_LIMIT;
  const limit =
    typeof value === "number" || (typeof value === "string" && /^\d{1,9}$/.test(value)) ? Number(value) : Number.NaN;
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw new BadParameter("limit", `must be a whole number from 1 to ${MAX_LIMIT}`);
  return limit;
}

function readCursor(value: unknown, tenant: string, query: EventQuery): PageRequest["after"] {
  if (value === undefined || value === null) return null;
  const cursor = typeof value === "string" ? decodeCursor(value, tenant, query) : null;
  if (cursor === null)
    throw new BadParameter(
      "cursor",
      "is not one of this query: repeat all parameters of the page it came from, except limit",
    );
  return cursor;
}
