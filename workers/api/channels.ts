import { Hono } from "hono";
import { rfc3339 } from "../../core/alerts/alert.ts";
import { channelSchema } from "../../core/alerts/channel.ts";
import type { ChannelSpec } from "../../core/alerts/channel.ts";
import { MAX_CHANNELS } from "../../core/alerts/limits.ts";
import { judgeTarget } from "../../core/alerts/target-guard.ts";
import type { ChannelAnswer } from "../../durable-objects/alerts/answers.ts";
import { alertManager } from "../../durable-objects/alerts/remote.ts";
import { requireRole } from "../auth/index.ts";
import { ApiError, ok, readJson } from "../http.ts";
import type { AppContext, AppEnv } from "../http.ts";
import { newSecret, postWebhook } from "../notify/webhook.ts";
import { badFields, parseBody } from "./schema-errors.ts";

export const channelRoutes = new Hono<AppEnv>()
  .post("/api/v1/channels", requireRole("editor"), async (c) => {
    const spec = parseBody(channelSchema, await readJson(c));
    const url = checkTarget(c, spec);
    const secret = spec.config.secret ?? newSecret();
    const target = { url, secret, allowPrivateTargets: spec.config.allow_private_targets === true };
    const answer = await manager(c).addChannel({ spec: { name: spec.name, type: spec.type }, target });
    const channel = channelOf(answer);
    if (spec.config.secret !== undefined) return ok(c, channel, "The channel is ready.", 201);
    return ok(c, { ...channel, secret }, "The signing secret is shown only now.", 201);
  })
  .get("/api/v1/channels", requireRole("viewer"), async (c) => ok(c, { channels: await manager(c).listChannels() }))
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
  const body = JSON.stringify({
    type: "alert.test",
    timestamp: rfc3339(Date.now()),
    data: { channel: { id, name: channel.name }, message: "A test from StreamFlow: this channel works." },
  });
  const result = await postWebhook(target, { id: `msg_test_${crypto.randomUUID()}`, body }, c.env.STREAMFLOW_MODE);
  return {
    delivered: result.error === null,
    status: result.attempted.kind === "answered" ? result.attempted.status : null,
    latency_ms: result.latencyMs,
    error: result.error,
  };
}

/** The URL in the parser's own writing, which is the one that was judged. @throws ApiError `bad_request` */
function checkTarget(c: AppContext, { config }: ChannelSpec): string {
  const wantsPrivate = config.allow_private_targets === true;
  if (wantsPrivate && c.env.STREAMFLOW_MODE !== "local") {
    throw badFields([{ field: "config.allow_private_targets", message: "exists only in local mode" }]);
  }
  const url = URL.parse(config.url);
  const own = new URL(c.req.url).hostname;
  const refusal = url === null ? "must be a URL" : judgeTarget(url, wantsPrivate);
  if (url === null || refusal !== null) throw badFields([{ field: "config.url", message: refusal ?? "must be a URL" }]);
  if (!wantsPrivate && url.hostname === own)
    throw badFields([{ field: "config.url", message: "must not be this platform" }]);
  return url.href;
}

function channelOf(answer: ChannelAnswer): Extract<ChannelAnswer, { ok: true }>["channel"] {
  if (answer.ok) return answer.channel;
  if (answer.reason === "no_encryption_key") {
    throw noUsableKey("Secrets cannot be kept: ENCRYPTION_KEY must be set to at least 32 characters.");
  }
  throw new ApiError("conflict", `A tenant may have ${MAX_CHANNELS} channels; delete one first.`, {
    max_channels: MAX_CHANNELS,
  });
}

function manager(c: AppContext): ReturnType<typeof alertManager> {
  return alertManager(c.env, c.get("principal").tenant);
}

function noUsableKey(message: string): ApiError {
  return new ApiError("unavailable", message);
}

function noSuchChannel(): ApiError {
  return new ApiError("not_found", "There is no such channel.");
}
