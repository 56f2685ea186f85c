import { liveHubName, TENANT_ID } from "../../core/events/names.ts";
import type { Principal } from "../http.ts";
import { randomToken } from "./api-key.ts";
import { findPrincipal } from "./index.ts";
import { claimsOf, sign, type TokenKind } from "./signed.ts";

/** Seconds between asking for a ticket and opening the socket. */
export const TICKET_SECONDS = 30;
const TICKET: TokenKind = { type: "ticket+jwt", audience: "streamflow-live", requiredClaims: [] };

/**
 * A ticket opens one WebSocket, because a browser cannot send a header with one and a key must never stand in a URL.
 *
 * It is signed, so that a stranger's guess reaches no Durable Object; that it is used once, the tenant's LiveHub remembers.
 * @throws ApiError `unavailable` when JWT_SECRET is missing or short
 */
export async function issueTicket(principal: Principal, env: Env, nowMs = Date.now()): Promise<string> {
  const exp = Math.floor(nowMs / 1000) + TICKET_SECONDS;
  return await sign(
    TICKET,
    { tenant: principal.tenant, sub: principal.keyId, jti: randomToken(16), exp },
    env.JWT_SECRET,
  );
}

/** Whom a ticket was made for; null when it is forged, too old, used before, or its key is no longer good. */
export async function redeemTicket(env: Env, ticket: string, nowMs = Date.now()): Promise<Principal | null> {
  const claims = await readTicket(ticket, env.JWT_SECRET, nowMs);
  if (claims === null) return null;
  const principal = await findPrincipal(env, claims.tenant, claims.keyId, nowMs);
  if (principal === null) return null;
  const isFirst = await env.LIVE_HUB.getByName(liveHubName(claims.tenant)).useTicket(claims.id, claims.expiresAtMs);
  return isFirst ? principal : null;
}

interface TicketClaims {
  readonly id: string;
  readonly tenant: string;
  readonly keyId: string;
  /** Epoch ms. */
  readonly expiresAtMs: number;
}

async function readTicket(ticket: string, secretText: string, nowMs: number): Promise<TicketClaims | null> {
  const claims = await claimsOf(TICKET, ticket, secretText, nowMs);
  const { jti: id, sub: keyId, exp, tenant } = claims ?? {};
  if (id === undefined || keyId === undefined || exp === undefined) return null;
  if (typeof tenant !== "string" || !TENANT_ID.test(tenant)) return null;
  return { id, tenant, keyId, expiresAtMs: exp * 1000 };
}
