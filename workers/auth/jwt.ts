import { jwtVerify, SignJWT } from "jose";
import { ApiError } from "../http.ts";
import type { Principal } from "../http.ts";

/** Seconds a token lives; the dashboard renews it with its key. */
export const TOKEN_SECONDS = 15 * 60;
const ISSUER = "streamflow";
const AUDIENCE = "streamflow-api";
/** RFC 9068 section 2.1: an explicit type keeps other tokens signed with the same secret from passing as this one. */
const TOKEN_TYPE = "at+jwt";
/** RFC 7518 section 3.2: an HS256 key has at least 256 bits. */
const MIN_SECRET_BYTES = 32;

/** Signs a token for a principal. @throws ApiError `unavailable` when JWT_SECRET is missing or short */
export async function signToken(principal: Principal, secretText: string, nowMs: number): Promise<string> {
  const secret = secretBytes(secretText);
  if (secret === null)
    throw new ApiError("unavailable", `JWT_SECRET must be set to at least ${MIN_SECRET_BYTES} bytes`);
  const issuedAt = Math.floor(nowMs / 1000);
  return await new SignJWT({ tenant: principal.tenant, role: principal.role })
    .setProtectedHeader({ alg: "HS256", typ: TOKEN_TYPE })
    .setSubject(principal.keyId)
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + TOKEN_SECONDS)
    .sign(requireSecret(secretText));
}

/** The key id and tenant a token was made for; null for any token that is not exactly ours and in time. */
export async function verifyToken(
  token: string,
  secretText: string,
  nowMs: number,
): Promise<{ keyId: string; tenant: string } | null> {
  const secret = secretBytes(secretText);
  if (secret === null) return null;
  try {
    const { payload } = await jwtVerify(token, secret, {
      algorithms: ["HS256"],
      issuer: ISSUER,
      audience: AUDIENCE,
      typ: TOKEN_TYPE,
      requiredClaims: ["exp", "iat", "sub", "tenant"],
      currentDate: new Date(nowMs),
    });
    if (payload.sub === undefined || typeof payload["tenant"] !== "string") return null;
    return { keyId: payload.sub, tenant: payload["tenant"] };
  } catch {
    // Whatever is wrong with it, the caller's answer is the same 401: the reason would only help a forger.
    return null;
  }
}

/** The signing key; null when it is missing or shorter than HS256 asks for. */
export function secretBytes(text: string | undefined): Uint8Array | null {
  const bytes = new TextEncoder().encode(text ?? "");
  return bytes.length < MIN_SECRET_BYTES ? null : bytes;
}

/** The signing key. @throws ApiError `unavailable` when it is missing or short */
export function requireSecret(text: string | undefined): Uint8Array {
  const secret = secretBytes(text);
  if (secret === null)
    throw new ApiError("unavailable", `JWT_SECRET must be set to at least ${MIN_SECRET_BYTES} bytes.`);
  return secret;
}
