import type { Principal } from "../http.ts";
import { claimsOf, sign, type TokenKind } from "./signed.ts";

/** Seconds a token lives; the dashboard renews it with its key. */
export const TOKEN_SECONDS = 15 * 60;
const ACCESS_TOKEN: TokenKind = {
  type: "at+jwt",
  audience: "streamflow-api",
  requiredClaims: ["exp", "iat", "sub", "tenant"],
};

/** Signs a token for a principal. @throws ApiError `unavailable` when JWT_SECRET is missing or short */
export async function signToken(
  { tenant, role, keyId }: Principal,
  secretText: string,
  nowMs: number,
): Promise<string> {
  const iat = Math.floor(nowMs / 1000);
  return await sign(ACCESS_TOKEN, { tenant, role, sub: keyId, iat, exp: iat + TOKEN_SECONDS }, secretText);
}

/** The key id and tenant a token was made for; null for any token that is not exactly ours and in time. */
export async function verifyToken(
  token: string,
  secretText: string,
  nowMs: number,
): Promise<{ keyId: string; tenant: string } | null> {
  const claims = await claimsOf(ACCESS_TOKEN, token, secretText, nowMs);
  if (claims?.sub === undefined || typeof claims["tenant"] !== "string") return null;
  return { keyId: claims.sub, tenant: claims["tenant"] };
}
