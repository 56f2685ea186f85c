import type { Role } from "../http.ts";

/** What each role may do, by the name of the role a route asks for. `ingest` writes events and reads nothing. */
const GRANTS: Record<Role, readonly Role[]> = {
  ingest: ["ingest"],
  viewer: ["viewer"],
  editor: ["viewer", "editor"],
  admin: ["ingest", "viewer", "editor", "admin"],
};

/** Whether a credential of role `held` may use a route that asks for `wanted`. */
export function roleAllows(held: Role, wanted: Role): boolean {
  return GRANTS[held].includes(wanted);
}

/** Type guard for a role read from a row, a token or a request. */
export function isRole(value: unknown): value is Role {
  return typeof value === "string" && Object.hasOwn(GRANTS, value);
}
