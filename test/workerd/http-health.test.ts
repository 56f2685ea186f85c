import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";
import worker from "../../workers/index.ts";
import { isDraining, setDraining } from "../../workers/ingest/draining.ts";
import { renderMetrics } from "../../workers/metrics.ts";
import { countHandled, queueLedger, withCountedQueues } from "../../workers/queue-ledger.ts";
import { checkReadiness } from "../../workers/readiness.ts";
import { call, makeKey, makeTenant, OPERATOR_KEY } from "./http-client.ts";

afterEach(() => {
  setDraining(false);
});

/** A binding whose every use throws. */
function broken<Binding extends object>(binding: Binding): Binding {
  return new Proxy(binding, {
    get() {
      throw new Error("away");
    },
  });
}

/** Delivers messages to a consumer under the ledger. @returns ids the platform saw acked */
async function deliver(ids: string[], handle: (batch: MessageBatch) => void): Promise<string[]> {
  const messages = ids.map((id) => ({ id, timestamp: 0, attempts: 1, body: {} }));
  const batch = createMessageBatch("streamflow-events", messages);
  const ctx = createExecutionContext();
  await countHandled(batch, env, async (watched) => handle(watched)).catch(() => undefined);
  return (await getQueueResult(batch, ctx)).explicitAcks;
}

describe("health and readiness", () => {
  test("health needs no credential and no other part", async () => {
    const answer = await call("GET", "/health");
    expect(answer.status).toBe(200);
    expect(answer.data).toEqual({ status: "alive" });
  });

  test("ready is 200 when store, queue and objects answer", async () => {
    const answer = await call("GET", "/ready");
    expect(answer.status).toBe(200);
    expect(answer.data).toEqual({ status: "ready", checks: { store: "ok", queue: "ok", objects: "ok", ingest: "ok" } });
  });

  test("while stopping, ready is 503 and health stays 200", async () => {
    setDraining(true);
    const answer = await call("GET", "/ready");
    expect(answer.status).toBe(503);
    expect(answer.headers.get("Retry-After")).toBe("5");
    expect(answer.body["message"]).toContain("ingest: stopping");
    expect((await call("GET", "/health")).status).toBe(200);
  });

  test("ready is 503 and names the failing check, without its inner message", async () => {
    const request = new Request<unknown, IncomingRequestCfProperties>("http://streamflow.test/ready");
    const response = await worker.fetch(request, { ...env, DB: broken(env.DB) }, createExecutionContext());
    expect(response.status).toBe(503);
    const body = await response.json<{ error: string; message: string; details: unknown }>();
    expect(body.error).toBe("unavailable");
    expect(body.message).toContain("store: failed");
    expect(body.details).toEqual({ checks: { store: "failed", queue: "ok", objects: "ok", ingest: "ok" } });
    expect(JSON.stringify(body)).not.toContain("away");
  });

  test("each part fails by its own name, and the queue is probed at most once in 10 s", async () => {
    const start = Date.now() + 60_000;
    expect(await checkReadiness({ ...env, LIVE_HUB: broken(env.LIVE_HUB) }, start)).toMatchObject({
      objects: "failed",
      queue: "ok",
    });
    expect((await checkReadiness({ ...env, EVENTS: broken(env.EVENTS) }, start + 9_999)).queue).toBe("ok");
    expect((await checkReadiness({ ...env, EVENTS: broken(env.EVENTS) }, start + 10_000)).queue).toBe("failed");
    expect((await checkReadiness(env, start + 19_999)).queue).toBe("failed");
    expect((await checkReadiness(env, start + 20_000)).queue).toBe("ok");
  });
});

describe("metrics", () => {
  test("are Prometheus text for viewers, and counts of requests grow", async () => {
    const { adminKey } = await makeTenant();
    const { key } = await makeKey(adminKey, "viewer");
    const count = async (): Promise<number> => {
      const { text } = await call("GET", "/metrics", { key });
      return Number(/^streamflow_http_requests_total\{method="GET",path="\/metrics",.*\} (\d+)$/m.exec(text)?.[1] ?? 0);
    };
    const first = await count();
    const answer = await call("GET", "/metrics", { key });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("Content-Type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(answer.text).toContain("# TYPE streamflow_http_requests_total counter\n");
    expect(await count()).toBe(first + 2);
  });

  test("of one tenant say nothing of another", async () => {
    const [mine, theirs] = [await makeTenant(), await makeTenant()];
    await call("GET", "/api/v1/tenants", { key: theirs.adminKey });
    const { text } = await call("GET", "/metrics", { key: mine.adminKey });
    expect(text).not.toContain('status="403"');
    expect((await call("GET", "/metrics", { key: theirs.adminKey })).text).toContain('status="403"');
  });

  test("need a viewer", async () => {
    const { adminKey } = await makeTenant();
    const { key } = await makeKey(adminKey, "ingest");
    expect((await call("GET", "/metrics")).status).toBe(401);
    expect((await call("GET", "/metrics", { key })).status).toBe(403);
  });

  test("labels, help and odd numbers are escaped as the format says", () => {
    const text = renderMetrics([
      {
        name: "a_total",
        help: "one\\two\nthree",
        type: "counter",
        samples: [
          { labels: { l: 'q"b\\n\n' }, value: 1.5 },
          { labels: {}, value: Number.NaN },
          { labels: {}, value: Infinity },
          { labels: {}, value: -Infinity },
        ],
      },
      { name: "b", help: "none", type: "gauge", samples: [] },
    ]);
    expect(text).toBe(
      '# HELP a_total one\\\\two\\nthree\n# TYPE a_total counter\na_total{l="q\\"b\\\\n\\n"} 1.5\na_total NaN\na_total +Inf\na_total -Inf\n',
    );
  });
});

describe("stopping a local platform", () => {
  test("the drain switch closes the door and tells what is outstanding", async () => {
    const answer = await call("POST", "/__local/drain", { key: OPERATOR_KEY });
    expect(answer.status).toBe(200);
    expect(Object.keys(answer.data).sort()).toEqual(["done", "outstanding", "sent"]);
    expect(isDraining()).toBe(true);
    expect((await call("GET", "/__local/ledger", { key: OPERATOR_KEY })).data["draining"]).toBe(true);
  });

  test.each([
    ["without a credential", undefined],
    ["with a wrong one", "nonsense"],
  ])("is not there %s", async (_name, key) => {
    const options = key === undefined ? {} : { key };
    expect((await call("POST", "/__local/drain", options)).status).toBe(404);
    expect(isDraining()).toBe(false);
  });

  test("is not there for another admin, nor in production", async () => {
    const { adminKey } = await makeTenant();
    expect((await call("POST", "/__local/drain", { key: adminKey })).status).toBe(404);
    const request = new Request<unknown, IncomingRequestCfProperties>("http://streamflow.test/__local/drain", {
      method: "POST",
      headers: { Authorization: `Bearer ${OPERATOR_KEY}` },
    });
    const production = { ...env, STREAMFLOW_MODE: "production" };
    expect((await worker.fetch(request, production, createExecutionContext())).status).toBe(404);
    expect(isDraining()).toBe(false);
  });

  test("what was sent is outstanding until it is acked; a retry keeps it outstanding, a failed send never was", async () => {
    const queue: Queue = {
      metrics: async () => ({ backlogCount: 0, backlogBytes: 0 }),
      send: async () => ({ metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } } }),
      sendBatch: async () => {
        throw new Error("full");
      },
    };
    const counted = withCountedQueues({ ...env, EVENTS: queue });
    const before = queueLedger().outstanding;
    for (const id of ["a", "b", "c"]) await counted.EVENTS.send({ id });
    await expect(counted.EVENTS.sendBatch([{ body: "d" }, { body: "e" }])).rejects.toThrow("full");
    expect(queueLedger().outstanding).toBe(before + 3);

    const acked = await deliver(["a", "b"], (batch) => {
      batch.messages[0]?.ack();
      batch.messages[1]?.retry({ delaySeconds: 5 });
    });
    expect(acked).toEqual(["a"]);
    expect(queueLedger().outstanding).toBe(before + 2);
    await deliver(["b", "c"], (batch) => {
      batch.messages[1]?.ack();
      throw new Error("crash after the second was committed");
    });
    expect(queueLedger().outstanding).toBe(before + 1);
    await deliver(["b"], (batch) => batch.retryAll());
    expect(queueLedger().outstanding).toBe(before + 1);
    await deliver(["b"], () => undefined);
    expect(queueLedger().outstanding).toBe(before);
  });
});
