import { type JWTPayload, jwtVerify, SignJWT } from "jose";
import { ApiError } from "../http.ts";

const ISSUER = "streamflow";
const ALGORITHM = "HS256";
/** RFC 7518 section 3.2: an HS256 key has at least 256 bits. */
const MIN_SECRET_BYTES = 32;

/** What tells tokens for one purpose from those for another, though all are signed with the same secret. */
export interface TokenKind {
  /** RFC 9068 section 2.1: an explicit type keeps other tokens from passing as this one. */
  readonly type: string;
  readonly audience: string;
  /** Claims without which a token is none of this kind. */
  readonly requiredClaims: readonly string[];
}

/** Signs a token. @throws ApiError `unavailable` when JWT_SECRET is missing or short */
export async function sign(kind: TokenKind, claims: JWTPayload, secretText: string): Promise<string> {
  const secret = secretBytes(secretText);
  if (secret === null)
    throw new ApiError("unavailable", `JWT_SECRET must be set to at least ${MIN_SECRET_BYTES} bytes.`);
  return await new SignJWT(claims)
    .setProtectedHeader({ alg: ALGORITHM, typ: kind.type })
    .setIssuer(ISSUER)
    .setAudience(kind.audience)
    .sign(secret);
}

/** What a token says; null for any that is not exactly ours, of this kind and in time. */
export async function claimsOf(
  kind: TokenKind,
  token: string,
  secretText: string,
  nowMs: number,
): Promise<JWTPayload | null> {
  const secret = secretBytes(secretText);
  if (secret === null) return null;
  try {
    const { payload } = await jwtVerify(token, secret, {
      algorithms: [ALGORITHM],
      issuer: ISSUER,
      audience: kind.audience,
      typ: kind.type,
      requiredClaims: [...kind.requiredClaims],
      currentDate: new Date(nowMs),
    });
    return payload;
  } catch {
    // Whatever is wrong with it, the caller's answer is the same 401: the reason would only help a forger.
    return null;
  }
}

/** The signing key; null when it is missing or shorter than HS256 asks for. */
function secretBytes(text: string | undefined): Uint8Array | null {
  const bytes = new TextEncoder().encode(text ?? "");
  return bytes.length < MIN_SECRET_BYTES ? null : bytes;
}
