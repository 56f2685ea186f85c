import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";

const SOURCE = readFileSync(resolve(import.meta.dirname, "../../../dashboard/public/push-worker.js"), "utf8");
const ORIGIN = "https://flow.example";

interface Shown {
  readonly title: string;
  readonly options: {
    readonly body: string;
    readonly tag: string;
    readonly renotify: boolean;
    readonly data: { url: string };
  };
}

/** The worker in a world with a registration and open pages, as a browser would give it. */
function startWorker(openPages: readonly string[] = []) {
  const handlers = new Map<string, (event: object) => void>();
  const shown: Shown[] = [];
  const opened: string[] = [];
  const focused: string[] = [];
  const self = {
    location: { origin: ORIGIN },
    addEventListener: (type: string, handler: (event: object) => void) => handlers.set(type, handler),
    registration: { showNotification: (title: string, options: Shown["options"]) => shown.push({ title, options }) },
    clients: {
      matchAll: () => Promise.resolve(openPages.map((url) => ({ url, focus: () => focused.push(url) }))),
      openWindow: (url: string) => opened.push(url),
    },
  };
  runInNewContext(SOURCE, { self, URL });
  const dispatch = async (type: string, event: object): Promise<void> => {
    let work: unknown;
    handlers.get(type)?.({ ...event, waitUntil: (until: unknown) => (work = until) });
    await work;
  };
  const push = (text: string): Promise<void> => dispatch("push", { data: { json: (): unknown => JSON.parse(text) } });
  const click = (url: string): Promise<void> =>
    dispatch("notificationclick", { notification: { close: () => undefined, data: { url } } });
  return { shown, opened, focused, push, click };
}

describe("the push worker", () => {
  test("shows an alert, and a later message about it takes its place", async () => {
    const worker = startWorker();
    await worker.push(
      JSON.stringify({ type: "alert.firing", title: "Too many 404s", body: "213", tag: "a1", url: `${ORIGIN}/alerts` }),
    );
    await worker.push(
      JSON.stringify({ type: "alert.resolved", title: "Over", body: "12", tag: "a1", url: `${ORIGIN}/alerts` }),
    );
    expect(worker.shown.map(({ title, options }) => [title, options.body, options.tag, options.renotify])).toEqual([
      ["Too many 404s", "213", "a1", true],
      ["Over", "12", "a1", false],
    ]);
  });

  test.each(["no JSON", "{}", "null", '{"title":7}'])(
    "shows something even for %s, as browsers demand",
    async (text) => {
      const worker = startWorker();
      await worker.push(text);
      expect(worker.shown.map(({ title, options }) => [title, options.body])).toEqual([
        ["StreamFlow", "An alert changed."],
      ]);
    },
  );

  test("opens only pages of its own site", async () => {
    const worker = startWorker();
    await worker.push(JSON.stringify({ title: "t", url: "https://evil.example/alerts" }));
    expect(worker.shown[0]?.options.data.url).toBe(`${ORIGIN}/alerts`);
    await worker.click(`${ORIGIN}/alerts/7`);
    expect(worker.opened).toEqual([`${ORIGIN}/alerts/7`]);
  });

  test("brings an open page to the front instead of opening another", async () => {
    const worker = startWorker(["https://other.example/", `${ORIGIN}/rules`]);
    await worker.click(`${ORIGIN}/alerts`);
    expect([worker.opened, worker.focused]).toEqual([[], [`${ORIGIN}/rules`]]);
  });
});
