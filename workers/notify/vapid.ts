// Voluntary Application Server Identification (RFC 8292): a push service knows the platform by its key.
import { Buffer } from "node:buffer";
import { importJWK, SignJWT } from "jose";
import type { PushTarget, VapidKeys } from "../../core/alerts/channels/push.ts";

/** A token is good for this long; push services refuse more than 24 h. */
const TOKEN_SECONDS = 12 * 3_600;

/** The Authorization header of one push message. @param nowMs epoch ms */
export async function vapidAuthorization(
  { endpoint, subject, vapid }: Pick<PushTarget, "endpoint" | "subject" | "vapid">,
  nowMs: number,
): Promise<string> {
  const token = new SignJWT(subject === null ? {} : { sub: subject })
    .setProtectedHeader({ typ: "JWT", alg: "ES256" })
    .setAudience(new URL(endpoint).origin)
    .setExpirationTime(Math.floor(nowMs / 1000) + TOKEN_SECONDS);
  return `vapid t=${await token.sign(await importJWK(jwkOf(vapid), "ES256"))}, k=${vapid.publicKey}`;
}

function jwkOf({ publicKey, privateKey }: VapidKeys) {
  const point = Buffer.from(publicKey, "base64url");
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((half) => half.toString("base64url"));
  return { kty: "EC", crv: "P-256", x: x ?? "", y: y ?? "", d: privateKey };
}
