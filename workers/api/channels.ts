import { Hono } from "hono";
import {
  ADDRESS_FIELDS,
  addressOf,
  channelSchema,
  isBound,
  targetOf,
  wantsPrivate,
} from "../../core/alerts/channel.ts";
import type { DraftTarget } from "../../core/alerts/channel.ts";
import { MAX_CHANNELS } from "../../core/alerts/limits.ts";
import { testBody } from "../../core/alerts/notification.ts";
import type { ChannelAnswer } from "../../durable-objects/alerts/answers.ts";
import { alertManager } from "../../durable-objects/alerts/remote.ts";
import { requireRole } from "../auth/index.ts";
import { ApiError, ok, readJson } from "../http.ts";
import type { AppContext, AppEnv } from "../http.ts";
import { importPushKey } from "../notify/push-encryption.ts";
import { refusalOf, sendOnce } from "../notify/send.ts";
import { newSecret } from "../notify/sign.ts";
import { badFields, parseBody } from "./schema-errors.ts";

/** Where notifications go. */
export const channelRoutes = new Hono<AppEnv>()
  .post("/api/v1/channels", requireRole("editor"), async (c) => {
    const spec = parseBody(channelSchema, await readJson(c));
    const target = await checked(c, targetOf(spec, new URL(c.req.url).origin, newSecret));
    const channel = channelOf(await manager(c).addChannel({ name: spec.name, target }));
    if (target.type !== "webhook" || (spec.type === "webhook" && spec.config.secret !== undefined)) {
      return ok(c, channel, "The channel is ready.", 201);
    }
    return ok(c, { ...channel, secret: target.secret }, "The signing secret is shown only now.", 201);
  })
  .get("/api/v1/channels", requireRole("viewer"), async (c) => ok(c, { channels: await manager(c).listChannels() }))
  .get("/api/v1/channels/push-key", requireRole("viewer"), async (c) => {
    const key = await manager(c).pushKey();
    if (key === null) throw noEncryptionKey();
    return ok(c, { public_key: key });
  })
  .delete("/api/v1/channels/:id", requireRole("editor"), async (c) => {
    const id = c.req.param("id");
    const removal = await manager(c).deleteChannel(id);
    if (removal.ok) return ok(c, { id }, "The channel is deleted.");
    if (removal.reason === "not_found") throw noSuchChannel();
    throw new ApiError("conflict", `Rules use this channel: ${removal.rules.join(", ")}.`, { rules: removal.rules });
  })
  .post("/api/v1/channels/:id/test", requireRole("editor"), async (c) => ok(c, await sendTest(c, c.req.param("id"))));

/** Sends a message of type `alert.test` at once and tells what came of it. */
async function sendTest(c: AppContext, id: string): Promise<Record<string, unknown>> {
  const channel = (await manager(c).listChannels()).find((known) => known.id === id);
  if (channel === undefined) throw noSuchChannel();
  const target = await manager(c).channelTarget(id);
  if (target === null)
    throw noUsableKey("The channel's secret cannot be read: ENCRYPTION_KEY has changed since it was made.");
  const message = { id: `msg_test_${crypto.randomUUID()}`, body: testBody(channel, Date.now()) };
  const result = await sendOnce(target, message, c.env);
  const status = result.attempted.kind === "answered" ? result.attempted.status : null;
  // A mail may be delivered and still have an error to tell of: a reader whom the server does not know.
  const delivered = status !== null && status >= 200 && status < 300;
  if (delivered) await manager(c).channelWorks(id);
  return {
    delivered,
    status,
    latency_ms: result.latencyMs,
    error: result.error,
  };
}

/**
 * Checks where a channel's messages would go.
 * @returns the target, its address in the parser's own writing, which is the one that was judged
 * @throws ApiError `bad_request`
 */
async function checked(c: AppContext, target: DraftTarget): Promise<DraftTarget> {
  if (isBound(target)) return target;
  const mode = c.env.STREAMFLOW_MODE;
  if (wantsPrivate(target) && mode !== "local") {
    const name = "apiUrl" in target ? "api_url" : "allow_private_targets";
    throw badFields([{ field: `config.${name}`, message: "exists only in local mode" }]);
  }
  const field = `config.${ADDRESS_FIELDS[target.type]}`;
  const url = URL.parse(addressOf(target));
  if (url === null) throw badFields([{ field, message: "must be a URL" }]);
  const refusal = await refusalOf(target, url, c.env);
  if (refusal !== null) throw badFields([{ field, message: refusal }]);
  const own = new URL(c.req.url).hostname;
  if (!wantsPrivate(target) && url.hostname === own) throw badFields([{ field, message: "must not be this platform" }]);
  switch (target.type) {
    case "webhook":
    case "slack":
      return { ...target, url: url.href };
    case "push":
      await checkPushKey(target.p256dh);
      return { ...target, endpoint: url.href };
    case "email":
      return { ...target, host: url.hostname };
    case "pagerduty":
    case "sms":
      return target;
  }
}

async function checkPushKey(p256dh: string): Promise<void> {
  try {
    await importPushKey(p256dh);
  } catch {
    throw badFields([{ field: "config.keys.p256dh", message: "must be a public key on the curve P-256" }]);
  }
}

function channelOf(answer: ChannelAnswer): Extract<ChannelAnswer, { ok: true }>["channel"] {
  if (answer.ok) return answer.channel;
  if (answer.reason === "no_encryption_key") {
    throw noEncryptionKey();
  }
  throw new ApiError("conflict", `A tenant may have ${MAX_CHANNELS} channels; delete one first.`, {
    max_channels: MAX_CHANNELS,
  });
}

function manager(c: AppContext): ReturnType<typeof alertManager> {
  return alertManager(c.env, c.get("principal").tenant);
}

function noEncryptionKey(): ApiError {
  return noUsableKey("Secrets cannot be kept: ENCRYPTION_KEY must be set to at least 32 characters.");
}

function noUsableKey(message: string): ApiError {
  return new ApiError("unavailable", message);
}

function noSuchChannel(): ApiError {
  return new ApiError("not_found", "There is no such channel.");
}
