import { createDecipheriv, createECDH, createHmac } from "node:crypto";
import { Buffer } from "node:buffer";
import { importJWK, jwtVerify } from "jose";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { encryptPush, MAX_PUSH_BYTES } from "../../workers/notify/push-encryption.ts";
import { addRule, alertFile, listAlerts, minute, newTenant, wireUp } from "./alerts-bench.ts";
import { call } from "./http-client.ts";

beforeEach(wireUp);

/** The example of RFC 8291, section 5 and appendix A. */
const RFC = {
  plaintext: "When I grow up, I want to be a watermelon",
  senderPrivate: "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw",
  senderPublic: "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8",
  readerPrivate: "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94",
  reader: {
    p256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    auth: "BTBZMqHH6r4Tts7J_aSIgg",
  },
  salt: "DGv6ra1nlYgDCS1FRnbzlw",
  body: "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
};

function hmac(key: Buffer, data: Buffer): Buffer {
  return createHmac("sha256", key).update(data).digest();
}

/** The browser's half, written from RFC 8188 and RFC 8291 with another library than the one that is tested. */
function decrypt(body: Uint8Array, readerPrivate: Buffer, auth: Buffer): string {
  const bytes = Buffer.from(body);
  const [salt, recordSize, idLength] = [bytes.subarray(0, 16), bytes.readUInt32BE(16), bytes.readUInt8(20)];
  const sender = bytes.subarray(21, 21 + idLength);
  const record = bytes.subarray(21 + idLength);
  expect(recordSize).toBe(4_096);
  expect(record.length).toBeLessThanOrEqual(recordSize);
  const ecdh = createECDH("prime256v1");
  ecdh.setPrivateKey(readerPrivate);
  const one = Buffer.of(1);
  const info = Buffer.concat([Buffer.from("WebPush: info\0"), ecdh.getPublicKey(), sender, one]);
  const material = hmac(hmac(auth, ecdh.computeSecret(sender)), info);
  const random = hmac(salt, material);
  const key = hmac(random, Buffer.concat([Buffer.from("Content-Encoding: aes128gcm\0"), one])).subarray(0, 16);
  const nonce = hmac(random, Buffer.concat([Buffer.from("Content-Encoding: nonce\0"), one])).subarray(0, 12);
  const cipher = createDecipheriv("aes-128-gcm", key, nonce);
  cipher.setAuthTag(record.subarray(-16));
  const padded = Buffer.concat([cipher.update(record.subarray(0, -16)), cipher.final()]);
  const delimiter = padded.findLastIndex((byte) => byte !== 0);
  expect(padded[delimiter]).toBe(2);
  return padded.subarray(0, delimiter).toString();
}

describe("push encryption", () => {
  test("makes the bytes of the RFC's example", async () => {
    const point = Buffer.from(RFC.senderPublic, "base64url");
    const [x, y] = [point.subarray(1, 33).toString("base64url"), point.subarray(33).toString("base64url")];
    const jwk = { kty: "EC", crv: "P-256", x, y };
    const curve = { name: "ECDH", namedCurve: "P-256" };
    const keys = {
      publicKey: await crypto.subtle.importKey("jwk", jwk, curve, true, []),
      privateKey: await crypto.subtle.importKey("jwk", { ...jwk, d: RFC.senderPrivate }, curve, true, ["deriveBits"]),
    };
    const salt = Buffer.from(RFC.salt, "base64url");
    const body = await encryptPush(new TextEncoder().encode(RFC.plaintext), RFC.reader, { keys, salt });
    expect(Buffer.from(body).toString("base64url")).toBe(RFC.body);
  });

  test("is read by its reader, never twice the same, at most 4,096 bytes", async () => {
    const [privateKey, auth] = [Buffer.from(RFC.readerPrivate, "base64url"), Buffer.from(RFC.reader.auth, "base64url")];
    expect(decrypt(Buffer.from(RFC.body, "base64url"), privateKey, auth)).toBe(RFC.plaintext);
    for (const length of [0, 1, 100, MAX_PUSH_BYTES]) {
      const plaintext = new Uint8Array(length).fill(97);
      const [first, second] = [await encryptPush(plaintext, RFC.reader), await encryptPush(plaintext, RFC.reader)];
      expect(decrypt(first, privateKey, auth)).toBe("a".repeat(length));
      expect(first).not.toEqual(second);
      expect(first.length).toBeLessThanOrEqual(4_096);
    }
    await expect(encryptPush(new Uint8Array(MAX_PUSH_BYTES + 1), RFC.reader)).rejects.toThrow(RangeError);
  });
});

/** A browser's subscription and what reads its messages. */
function newBrowser(path: string) {
  const ecdh = createECDH("prime256v1");
  const p256dh = ecdh.generateKeys().toString("base64url");
  const auth = crypto.getRandomValues(Buffer.alloc(16));
  const endpoint = `https://push.example.net/send/${path}`;
  const config = { endpoint, expirationTime: null, keys: { p256dh, auth: auth.toString("base64url") } };
  return { config, endpoint, read: (body: Uint8Array) => JSON.parse(decrypt(body, ecdh.getPrivateKey(), auth)) };
}

/** Stands where the push service is. */
function listenAt(endpoint: string, status = 201): { headers: Headers; body: Uint8Array }[] {
  const requests: { headers: Headers; body: Uint8Array }[] = [];
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const request = new Request(input, init);
    const body = new Uint8Array(await request.arrayBuffer());
    if (request.url === endpoint) requests.push({ headers: request.headers, body });
    return new Response(null, { status });
  });
  return requests;
}

async function audienceOf(headers: Headers | undefined, publicKey: string): Promise<unknown> {
  const [, token = "", key = ""] = /^vapid t=([^,]+), k=(.+)$/.exec(headers?.get("Authorization") ?? "") ?? [];
  expect(key).toBe(publicKey);
  const point = Buffer.from(key, "base64url");
  const [x, y] = [point.subarray(1, 33).toString("base64url"), point.subarray(33).toString("base64url")];
  const { payload } = await jwtVerify(token, await importJWK({ kty: "EC", crv: "P-256", x, y }, "ES256"), {
    algorithms: ["ES256"],
  });
  expect(Number(payload.exp)).toBeGreaterThan(Date.now() / 1000);
  expect(Number(payload.exp)).toBeLessThanOrEqual(Date.now() / 1000 + 86_400);
  return payload.aud;
}

describe("a push channel", () => {
  test("tells a browser of an alert: only it can read that, and the push service knows whose it is", async () => {
    const tenant = await newTenant();
    const { key } = tenant;
    const publicKey = String((await call("GET", "/api/v1/channels/push-key", { key })).data["public_key"]);
    const browser = newBrowser(tenant.tenant);
    const made = await call("POST", "/api/v1/channels", {
      key,
      json: { name: "me", type: "push", config: browser.config },
    });
    expect([made.status, made.data["config"]]).toEqual([
      201,
      { endpoint: "https://push.example.net/…", keys_set: true, allow_private_targets: false },
    ]);
    const requests = listenAt(browser.endpoint);
    await addRule(tenant, { channels: [made.data["id"]] });
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    await expect.poll(() => requests.length).toBe(1);
    const [request] = requests;
    const [alert] = await listAlerts(tenant);
    expect(Object.fromEntries(request?.headers ?? [])).toMatchObject({
      "content-encoding": "aes128gcm",
      ttl: "3600",
      urgency: "high",
      topic: String(alert?.["id"]).replaceAll("-", ""),
    });
    expect(await audienceOf(request?.headers, publicKey)).toBe("https://push.example.net");
    expect(browser.read(request?.body ?? new Uint8Array())).toEqual({
      type: "alert.firing",
      title: "Firing (error): busy",
      body: "count = 50, users = 1 for type = web (count > threshold, threshold 10)",
      tag: alert?.["id"],
      url: expect.stringMatching(/^http:\/\/streamflow\.test\/alerts\/[0-9a-f-]{36}$/),
    });
  });

  test("has the tenant's own key, which stays the same", async () => {
    const { key } = await newTenant();
    const other = await newTenant();
    const keys = await Promise.all(
      [key, key, other.key].map((each) => call("GET", "/api/v1/channels/push-key", { key: each })),
    );
    const [first, second, third] = keys.map(({ data }) => String(data["public_key"]));
    expect(first).toBe(second);
    expect(first).not.toBe(third);
    expect(Buffer.from(first ?? "", "base64url")).toHaveLength(65);
  });

  test("whose subscription is gone fails for good", async () => {
    const tenant = await newTenant();
    const browser = newBrowser(tenant.tenant);
    const json = { name: "me", type: "push", config: browser.config };
    const made = await call("POST", "/api/v1/channels", { key: tenant.key, json });
    const requests = listenAt(browser.endpoint, 410);
    await addRule(tenant, { channels: [made.data["id"]] });
    await tenant.manager.windowsClosed([minute(0, { web: 50 })]);
    const [alert] = await listAlerts(tenant);
    await expect
      .poll(async () => (await alertFile(tenant, alert?.["id"]))["deliveries"])
      .toMatchObject([{ outcome: "failed", status: 410, error: "answered 410" }]);
    expect(requests).toHaveLength(1);
  });

  test("with a key that is not on the curve is refused", async () => {
    const { key } = await newTenant();
    const { config } = newBrowser("x");
    const p256dh = Buffer.concat([Buffer.of(4), Buffer.alloc(64, 1)]).toString("base64url");
    const json = { name: "me", type: "push", config: { ...config, keys: { ...config.keys, p256dh } } };
    const answer = await call("POST", "/api/v1/channels", { key, json });
    expect([answer.status, answer.body["details"]]).toMatchObject([400, [{ field: "config.keys.p256dh" }]]);
  });
});
