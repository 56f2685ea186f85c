import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { LoadOrder, LoadResult } from "./load-process.ts";

/** A load process that has made its bodies and waits for the word. */
export interface PreparedLoad {
  /** Sends everything and resolves when the last answer is in. */
  run(): Promise<LoadResult>;
}

/** Starts a load process. It ends by itself after its run, or when this process ends. */
export async function prepareLoad(order: LoadOrder): Promise<PreparedLoad> {
  const child = fork(join(import.meta.dirname, "load-process.ts"), { execPath: process.execPath });
  child.send(order);
  await once(child, "message");
  return {
    run: () =>
      new Promise((done, fail) => {
        child.once("message", (result: LoadResult) => done(result));
        child.once("exit", (code) => fail(new Error(`the load process ended with code ${code}`)));
        child.send("go");
      }),
  };
}

/** Prepares and runs in one go. */
export async function runLoad(order: LoadOrder): Promise<LoadResult> {
  return (await prepareLoad(order)).run();
}
