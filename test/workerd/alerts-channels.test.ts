import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { MAX_CHANNELS } from "../../core/alerts/limits.ts";
import { seal, unseal } from "../../durable-objects/alerts/vault.ts";
import { sendOnce } from "../../workers/notify/send.ts";
import { addRule, listen, newTenant, postInProduction, SECRET, wireUp } from "./alerts-bench.ts";
import { call } from "./http-client.ts";

beforeEach(wireUp);

const hook = (config: Record<string, unknown> = {}): Record<string, unknown> => ({
  name: "ops",
  type: "webhook",
  config: { url: "https://hooks.example.com/x", ...config },
});

describe("channels", () => {
  test("never show a secret again, nor the path and query of their URL, and keep both encrypted", async () => {
    const tenant = await newTenant();
    const { key } = tenant;
    const url = "https://hooks.example.com/x?token=sesame";
    const made = await call("POST", "/api/v1/channels", { key, json: hook({ url, secret: SECRET }) });
    expect(made.status).toBe(201);
    expect(made.data).toMatchObject({
      name: "ops",
      type: "webhook",
      config: { url: "https://hooks.example.com/…", secret_set: true },
    });
    const listed = await call("GET", "/api/v1/channels", { key });
    const rows = await runInDurableObject(tenant.object, (_, state) => {
      const all = state.storage.sql.exec("select * from channels").toArray();
      return JSON.stringify(
        all.map((row) =>
          Object.values(row).map((value) =>
            value instanceof ArrayBuffer ? new TextDecoder("latin1").decode(value) : value,
          ),
        ),
      );
    });
    for (const text of [made.text, listed.text, rows]) {
      expect(text).not.toContain(SECRET.slice(6));
      expect(text).not.toContain("sesame");
    }
    expect(await tenant.manager.channelTarget(String(made.data["id"]))).toEqual({
      type: "webhook",
      url,
      secret: SECRET,
      allowPrivateTargets: false,
    });
  });

  test("without a secret get one, shown once, that verifies what they send", async () => {
    const { key } = await newTenant();
    const made = await call("POST", "/api/v1/channels", { key, json: hook() });
    const secret = String(made.data["secret"]);
    const sent = vi.mocked(fetch);
    expect((await call("POST", `/api/v1/channels/${String(made.data["id"])}/test`, { key })).data).toMatchObject({
      delivered: true,
      status: 200,
    });
    const [input, init] = sent.mock.calls.at(-1) ?? [];
    const request = new Request(input ?? "", init);
    const body: unknown = new Webhook(secret).verify(await request.text(), Object.fromEntries(request.headers));
    expect(body).toMatchObject({ type: "alert.test", data: { channel: { name: "ops" } } });
    expect((await call("GET", "/api/v1/channels", { key })).text).not.toContain(secret);
  });

  test("a test that fails says why", async () => {
    const tenant = await newTenant();
    listen(tenant, () => new Response("who are you?", { status: 401 }));
    const answer = await call("POST", `/api/v1/channels/${tenant.channelId}/test`, { key: tenant.key });
    expect(answer.data).toMatchObject({ delivered: false, status: 401, error: "answered 401: who are you?" });
  });

  test.each([
    [{ ...hook(), type: "mail" }, "type", "webhook"],
    [{ ...hook(), type: "pager" }, "type", "webhook"],
    [hook({ url: "http://hooks.example.com/" }), "config.url", "https"],
    [hook({ url: "https://127.0.0.1/" }), "config.url", "IP address"],
    [hook({ url: "https://streamflow.test/" }), "config.url", "this platform"],
    [hook({ url: "not a url" }), "config.url", "URL"],
    [hook({ secret: "short" }), "config.secret", "whsec_"],
    [hook({ headers: {} }), "config.headers", "not a field"],
    [{ ...hook(), colour: "red" }, "colour", "not a field"],
  ])("%j is refused: %s", async (json, field, message) => {
    const { key } = await newTenant();
    const answer = await call("POST", "/api/v1/channels", { key, json });
    expect(answer.status).toBe(400);
    expect(answer.body["details"]).toMatchObject([{ field, message: expect.stringContaining(message) }]);
  });

  test("may have private targets in local mode only", async () => {
    const { key } = await newTenant();
    const json = hook({ url: "http://127.0.0.1:9/x", allow_private_targets: true });
    expect((await call("POST", "/api/v1/channels", { key, json })).status).toBe(201);
    const answer = await postInProduction("/api/v1/channels", key, json);
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain("config.allow_private_targets");
  });

  test("that rules use cannot be deleted", async () => {
    const tenant = await newTenant();
    const { key } = tenant;
    const rule = await addRule(tenant);
    const path = `/api/v1/channels/${tenant.channelId}`;
    const refused = await call("DELETE", path, { key });
    expect([refused.status, refused.body["details"]]).toEqual([409, { rules: ["busy"] }]);
    await call("DELETE", `/api/v1/rules/${rule}`, { key });
    expect((await call("DELETE", path, { key })).status).toBe(200);
    expect((await call("DELETE", path, { key })).status).toBe(404);
    expect((await call("POST", `${path}/test`, { key })).status).toBe(404);
  });

  test(`the ${MAX_CHANNELS + 1}th is refused`, async () => {
    const { key } = await newTenant();
    for (let k = 1; k < MAX_CHANNELS; k++)
      expect((await call("POST", "/api/v1/channels", { key, json: hook() })).status).toBe(201);
    expect((await call("POST", "/api/v1/channels", { key, json: hook() })).status).toBe(409);
  });
});

describe("secrets at rest", () => {
  const KEY = "0123456789abcdef0123456789abcdef";

  test("open only with their key and as what they were sealed for", async () => {
    const sealed = await seal("a secret", "tenant/channel", KEY);
    expect(await unseal(sealed, "tenant/channel", KEY)).toBe("a secret");
    expect(await unseal(sealed, "tenant/other", KEY)).toBeNull();
    expect(await unseal(sealed, "tenant/channel", `${KEY}x`)).toBeNull();
    expect(await unseal(sealed.with(20, (sealed[20] ?? 0) ^ 1), "tenant/channel", KEY)).toBeNull();
    expect(await unseal(sealed.slice(0, 5), "tenant/channel", KEY)).toBeNull();
    expect(await seal("a secret", "tenant/channel", KEY)).not.toEqual(sealed);
  });

  test("are not kept under a key that is too short", async () => {
    await expect(seal("a secret", "tenant/channel", KEY.slice(1))).rejects.toThrow("ENCRYPTION_KEY");
  });
});

describe("one post", () => {
  const target = {
    type: "webhook" as const,
    url: "https://hooks.example.com/x",
    secret: SECRET,
    allowPrivateTargets: false,
  };
  const message = { id: "msg_1", body: "{}" };
  const PRODUCTION = { ...env, STREAMFLOW_MODE: "production" };

  test("follows no redirect and carries a time limit", async () => {
    await sendOnce(target, message, env);
    expect(vi.mocked(fetch).mock.calls).toMatchObject([
      [new URL(target.url), { method: "POST", redirect: "manual", signal: expect.any(AbortSignal) }],
    ]);
  });

  test("asks again whether its target may be called", async () => {
    const changed = { ...target, url: "http://127.0.0.1/", allowPrivateTargets: true };
    const result = await sendOnce(changed, message, PRODUCTION);
    expect(result).toMatchObject({ attempted: { kind: "refused" }, error: "the target must be https" });
    expect(fetch).not.toHaveBeenCalled();
    expect((await sendOnce(changed, message, env)).attempted).toMatchObject({ kind: "answered", status: 200 });
  });

  test("is not made where the name leads into a private network, in production", async () => {
    const addresses = new Map([
      ["rebind.example.com", "10.0.0.7"],
      ["mapped.example.com", "::ffff:169.254.169.254"],
      ["public.example.com", "93.184.215.14"],
    ]);
    vi.mocked(fetch).mockImplementation(async (input) => {
      const url = new URL(input instanceof Request ? input.url : input);
      if (url.hostname !== "cloudflare-dns.com") return new Response("ok");
      const data = addresses.get(url.searchParams.get("name") ?? "") ?? "";
      const type = data.includes(":") ? 28 : 1;
      const isAsked = url.searchParams.get("type") === (type === 1 ? "A" : "AAAA");
      return Response.json({
        Status: 0,
        Answer: isAsked
          ? [
              { name: "x", type: 5, data: "y" },
              { name: "y", type, data },
            ]
          : [],
      });
    });
    const results: unknown[] = [];
    for (const host of addresses.keys()) {
      const { error } = await sendOnce({ ...target, url: `https://${host}/x` }, message, PRODUCTION);
      results.push(error);
    }
    const refused = "the target must not resolve to a private address";
    expect(results).toEqual([refused, refused, null]);
    const asked = vi.mocked(fetch).mock.calls.length;
    await sendOnce({ ...target, url: "https://public.example.com/x" }, message, PRODUCTION);
    // Remembered: only the post itself.
    expect(vi.mocked(fetch).mock.calls.length).toBe(asked + 1);
  });

  test("is made only to the hosts that the operator lists, where there is a list", async () => {
    const narrow = { ...PRODUCTION, TARGET_HOSTS: "example.com  hooks.example.net" };
    const results: unknown[] = [];
    for (const host of ["hooks.example.com", "hooks.example.net", "example.net", "badexample.com"]) {
      results.push((await sendOnce({ ...target, url: `https://${host}/x` }, message, narrow)).error);
    }
    const refused = "the target must be one of the hosts that this deployment allows";
    expect(results).toEqual([null, null, refused, refused]);
  });

  test("is made when the resolver says nothing", async () => {
    vi.mocked(fetch).mockImplementation(async (input) => {
      const { url } = new Request(input);
      if (url.startsWith("https://cloudflare-dns.com/")) throw new Error("away");
      return new Response("ok");
    });
    expect(await sendOnce({ ...target, url: "https://quiet.example.com/" }, message, PRODUCTION)).toMatchObject({
      error: null,
    });
  });

  test.each([
    [new DOMException("timed out", "TimeoutError"), "no answer within 5 s"],
    [new Error("connection refused"), "no answer: connection refused"],
  ])("tells that nobody answered: %s", async (error, expected) => {
    vi.mocked(fetch).mockRejectedValueOnce(error);
    expect(await sendOnce(target, message, env)).toMatchObject({
      attempted: { kind: "unanswered" },
      error: expected,
    });
  });

  test("reads no more of an answer than it must", async () => {
    let sent = 0;
    let isCancelled = false;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 16_384;
        controller.enqueue(new Uint8Array(16_384).fill(97));
      },
      cancel() {
        isCancelled = true;
      },
    });
    vi.mocked(fetch).mockResolvedValueOnce(new Response(endless, { status: 500 }));
    const { error } = await sendOnce(target, message, env);
    expect(error).toBe(`answered 500: ${"a".repeat(200)}`);
    expect(isCancelled).toBe(true);
    expect(sent).toBeLessThan(200_000);
  });
});
