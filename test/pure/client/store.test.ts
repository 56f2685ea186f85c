import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { createClient, localStorageStore } from "../../../client/index.ts";
import type { ClientOptions, KeyValueStore, Trouble } from "../../../client/index.ts";
import { fileStore } from "../../../client/node.ts";
import { FakeClock, FakePlatform, memoryStore, turn } from "./world.ts";
import type { Behaviour } from "./world.ts";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "streamflow-client-"));
  directories.push(directory);
  return directory;
}

/** The part of Storage that is used, with a quota in characters. */
function fakeStorage(quota = Infinity): Storage {
  const values = new Map<string, string>();
  return {
    get length() {
      return values.size;
    },
    key: (index) => [...values.keys()][index] ?? null,
    getItem: (key) => values.get(key) ?? null,
    setItem(key, value) {
      if (value.length > quota) throw new Error("QuotaExceededError");
      values.set(key, value);
    },
    removeItem: (key) => void values.delete(key),
    clear: () => values.clear(),
  };
}

function start(store: KeyValueStore, behaviours: readonly Behaviour[] = [], options: Partial<ClientOptions> = {}) {
  const clock = new FakeClock();
  const platform = new FakePlatform(() => clock.now(), behaviours);
  const client = createClient({
    url: "https://platform.test",
    key: "k",
    fetch: platform.fetch,
    clock,
    store,
    random: () => 0.5,
    ...options,
  });
  return { clock, platform, client };
}

const away: Behaviour = { status: 503, retryAfter: "600" };

function numbered(n: number) {
  return { type: "t.e", source: "s", data: { n } };
}

/** As a segment holds it. */
function line(n: number): string {
  return JSON.stringify({ id: `e${n}`, ...numbered(n) });
}

describe.each<[string, () => KeyValueStore]>([
  ["memory", () => memoryStore()],
  ["localStorage", () => localStorageStore("test:", fakeStorage())],
  ["a directory", () => fileStore(join(temporary(), "not", "there", "yet"))],
])("a store in %s", (_, make) => {
  test("keeps, lists and forgets values", async () => {
    const store = make();
    expect(await store.keys()).toEqual([]);
    expect(await store.get("a")).toBeNull();
    await store.set("a", "1\n2 ü");
    await store.set("b/..\\?", "x");
    await store.set("a", "3");
    expect((await store.keys()).toSorted()).toEqual(["a", "b/..\\?"]);
    expect([await store.get("a"), await store.get("b/..\\?")]).toEqual(["3", "x"]);
    await store.delete("a");
    await store.delete("a");
    expect(await store.keys()).toEqual(["b/..\\?"]);
  });

  test("hands the events of a closed client to the next one, which sends them first and under their ids", async () => {
    const store = make();
    const first = start(store, [away]);
    const ids = await first.client.send([numbered(0), numbered(1)]);
    const ledger = first.clock.until(first.client.close(1000));
    expect(await ledger).toMatchObject({ offered: 2, delivered: 0, dropped: 0, buffered: 2 });

    const second = start(store);
    await second.client.track(numbered(2));
    await expect.poll(() => second.client.ledger.restored).toBe(2);
    await second.clock.until(second.client.flush());
    expect([...second.platform.counted.values()]).toEqual([0, 1, 2]);
    expect([...second.platform.counted.keys()].slice(0, 2)).toEqual(ids);
    expect(await second.client.close()).toMatchObject({ offered: 3, restored: 2, delivered: 3 });
    expect(await store.keys()).toEqual([]);
  });
});

test("events are in localStorage as soon as the script that tracked them is done", async () => {
  const storage = fakeStorage();
  const { client } = start(localStorageStore("sf:", storage), [away]);
  await turn();
  void client.track(numbered(0));
  // What a browser runs between a script and the end of its page: no timers, no I/O.
  for (let microtask = 0; microtask < 20; microtask++) await Promise.resolve();
  expect(storage.length).toBe(1);
  expect(storage.key(0)).toMatch(/^sf:/);
});

test("other keys of localStorage are left alone", async () => {
  const storage = fakeStorage();
  storage.setItem("theme", "dark");
  const { client, clock } = start(localStorageStore("sf:", storage));
  await client.track(numbered(0));
  await clock.until(client.flush());
  await client.close();
  expect([storage.length, storage.getItem("theme")]).toEqual([1, "dark"]);
});

test("a store that is full is reported; the events are sent all the same", async () => {
  const troubles: Trouble[] = [];
  const { client, clock, platform } = start(localStorageStore("sf:", fakeStorage(10)), [], {
    onTrouble: (trouble) => troubles.push(trouble),
  });
  await client.track(numbered(0));
  await clock.until(client.flush());
  expect([...platform.counted.values()]).toEqual([0]);
  expect(troubles).toEqual([{ kind: "store", message: "QuotaExceededError", status: null, retryInMs: null }]);
});

test("what is no event of ours in the store is skipped, half-written files are not read", async () => {
  const directory = temporary();
  writeFileSync(join(directory, "0.ndjson"), "no json\n7\nnull\n{}\n");
  writeFileSync(join(directory, "1.ndjson"), `{"id":"kept","type":"t.e","source":"s","data":{"n":1}}\n{"id":"torn`);
  writeFileSync(join(directory, "2.ndjson.part"), `{"id":"half"`);
  const { client, clock, platform } = start(fileStore(directory));
  await expect.poll(() => client.ledger.restored).toBe(1);
  await clock.until(client.flush());
  expect([...platform.counted.keys()]).toEqual(["kept"]);
  await client.close();
  expect(readdirSync(directory)).toEqual(["2.ndjson.part"]);
});

test("events that find no room at the start stay in the store for the next one", async () => {
  const values = new Map<string, string>();
  values.set("a", [0, 1].map(line).join("\n")).set("b", [2, 3].map(line).join("\n"));
  const first = start(memoryStore(values), [], { maxBufferedEvents: 3 });
  await first.clock.until(first.client.flush());
  expect(await first.client.close()).toMatchObject({ offered: 2, restored: 2, delivered: 2 });
  expect([...values.keys()]).toEqual(["b"]);
});
