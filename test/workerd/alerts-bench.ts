import { env } from "cloudflare:workers";
import { createExecutionContext, runInDurableObject } from "cloudflare:test";
import { Webhook } from "standardwebhooks";
import { vi } from "vitest";
import { alertManagerName } from "../../core/events/names.ts";
import type { ClosedWindow } from "../../core/windows/window-json.ts";
import type { AlertManager } from "../../durable-objects/alert-manager.ts";
import { alertManager } from "../../durable-objects/alerts/remote.ts";
import type { Remote } from "../../durable-objects/remote.ts";
import worker from "../../workers/index.ts";
import { call, makeTenant } from "./http-client.ts";

export const MINUTE = 60_000;
export const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/** Before each test: the queue has its consumer, and nothing reaches the network. */
export function wireUp(): void {
  vi.spyOn(worker, "queue").mockReset();
  vi.spyOn(globalThis, "fetch")
    .mockReset()
    .mockImplementation(async () => new Response("ok"));
}

/** Posts JSON to a Worker that runs in production mode; the tests run in local mode. */
export async function postInProduction(path: string, key: string, json: unknown): Promise<Response> {
  const request = new Request<unknown, IncomingRequestCfProperties>(`https://streamflow.test${path}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify(json),
  });
  return await worker.fetch(request, { ...env, STREAMFLOW_MODE: "production" }, createExecutionContext());
}

/** A webhook call that reached the network. */
export interface Received {
  readonly url: string;
  readonly id: string;
  /** Whether an independent implementation of Standard Webhooks accepts the signature. */
  readonly isGenuine: boolean;
  readonly type: string;
  readonly data: Record<string, unknown>;
}

/**
 * Stands where the network begins: what is posted to a tenant's webhooks arrives here, in order.
 * @param answer what the nth call (from 0) is answered
 */
export function listen(
  tenant: AlertTenant,
  answer: (nth: number) => Response | Promise<Response> = () => new Response("ok"),
): Receiver {
  return new Receiver(tenant, answer);
}

export class Receiver {
  readonly received: Received[] = [];
  readonly #path: string;
  readonly #answer: (nth: number) => Response | Promise<Response>;

  constructor({ tenant }: AlertTenant, answer: (nth: number) => Response | Promise<Response>) {
    this.#path = `/${tenant}`;
    this.#answer = answer;
    vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => await this.#take(new Request(input, init)));
  }

  /** `type` of each call, in order. */
  get types(): string[] {
    return this.received.map(({ type }) => type);
  }

  async #take(request: Request): Promise<Response> {
    // A retry of an earlier test's tenant.
    if (new URL(request.url).pathname !== this.#path) return new Response("ok");
    const text = await request.text();
    const headers = Object.fromEntries(request.headers);
    const nth = this.received.length;
    const { type, data } = JSON.parse(text);
    this.received.push({
      url: request.url,
      id: headers["webhook-id"] ?? "",
      isGenuine: verify(text, headers),
      type,
      data,
    });
    return await this.#answer(nth);
  }
}

function verify(text: string, headers: Record<string, string>): boolean {
  try {
    new Webhook(SECRET).verify(text, headers);
    return true;
  } catch {
    return false;
  }
}

/** A tenant of its own with one webhook channel. */
export interface AlertTenant {
  readonly tenant: string;
  readonly key: string;
  readonly channelId: string;
  readonly manager: Remote<AlertManager>;
  readonly object: DurableObjectStub<AlertManager>;
}

export async function newTenant(): Promise<AlertTenant> {
  const { id: tenant, adminKey: key } = await makeTenant();
  const json = { name: "ops", type: "webhook", config: { url: `https://hooks.example/${tenant}`, secret: SECRET } };
  const channel = await call("POST", "/api/v1/channels", { key, json });
  const object = env.ALERT_MANAGER.getByName(alertManagerName(tenant));
  return { tenant, key, channelId: String(channel.data["id"]), manager: alertManager(env, tenant), object };
}

/** A rule over the built-in `events_1m`, as a request body. */
export function ruleBody(more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    name: "busy",
    aggregation: "events_1m",
    condition: "count > threshold",
    threshold: 10,
    level: "error",
    ...more,
  };
}

/** Makes such a rule, on the tenant's channel. @returns its id */
export async function addRule({ key, channelId }: AlertTenant, more: Record<string, unknown> = {}): Promise<string> {
  const answer = await call("POST", "/api/v1/rules", { key, json: ruleBody({ channels: [channelId], ...more }) });
  if (answer.status !== 201) throw new Error(answer.text);
  return String(answer.data["id"]);
}

export async function listAlerts({ key }: AlertTenant, query = ""): Promise<Record<string, unknown>[]> {
  const { alerts } = (await call("GET", `/api/v1/alerts${query}`, { key })).data;
  return Array.isArray(alerts) ? alerts : [];
}

/** One alert with its history and deliveries. */
export async function alertFile({ key }: AlertTenant, id: unknown): Promise<Record<string, unknown>> {
  return (await call("GET", `/api/v1/alerts/${String(id)}`, { key })).data;
}

/** Runs SQL inside the tenant's AlertManager. */
export async function sql({ object }: AlertTenant, query: string): Promise<Record<string, unknown>[]> {
  return await runInDurableObject(object, (_, state) => state.storage.sql.exec(query).toArray());
}

/** A closed window of `events_1m`, the nth minute of a day, with a count by event type. */
export function minute(nth: number, counts: Readonly<Record<string, number>>, revision = 0): ClosedWindow {
  const start = Date.UTC(2026, 10, 22) + nth * MINUTE;
  const groups = Object.entries(counts).map(([type, count]) => ({ group: { type }, values: { count, users: 1 } }));
  return { aggregation: "events_1m", version: 1, start, end: start + MINUTE, revision, groups };
}
