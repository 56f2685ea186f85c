import { setTimeout as wait } from "node:timers/promises";
import { type BenchTenant, type Frames, frameLatencies, prepareProducer, quantile } from "./overload-parts.ts";
import type { OverloadOrder, OverloadResult } from "./overload-process.ts";

/** Events in a request. */
export const BATCH = 500;
const SETTLE_MS = 30_000;

/** What a phase came to, for who reads it. */
export interface Phase {
  readonly name: string;
  readonly tenant: string;
  readonly offered: number;
  readonly accepted: number;
  readonly refused: number;
  readonly post: readonly [p50: number, p99: number];
  readonly frame: readonly [p50: number, p99: number] | null;
  readonly result: OverloadResult;
}

/** How a tenant sends. */
export type Offer = Pick<OverloadOrder, "seconds" | "concurrency" | "ratePerSecond">;

/** Runs the phases and keeps what came of them. */
export class Run {
  readonly phases: Phase[] = [];
  readonly #frames: Frames;
  #modestBefore = 0;

  constructor(frames: Frames) {
    this.#frames = frames;
  }

  async one(tenant: BenchTenant, name: string, offer: Offer): Promise<Phase> {
    const [phase] = await this.together([[tenant, name, offer]]);
    if (phase === undefined) throw new Error("no phase");
    return phase;
  }

  async together(offers: readonly (readonly [BenchTenant, string, Offer])[]): Promise<Phase[]> {
    const starts = await Promise.all(
      offers.map(([{ url, key }, name, offer]) => prepareProducer({ url, key, seed: name, batch: BATCH, ...offer })),
    );
    const results = await Promise.all(starts.map((start) => start()));
    const phases: Phase[] = [];
    for (const [k, result] of results.entries()) {
      const [tenant, name] = offers[k] ?? [];
      if (tenant !== undefined && name !== undefined) phases.push(await this.#phase(tenant, name, result));
    }
    this.phases.push(...phases);
    return phases;
  }

  resultsOf(tenant: BenchTenant): OverloadResult[] {
    return this.phases.filter((phase) => phase.tenant === tenant.id).map(({ result }) => result);
  }

  async #phase(tenant: BenchTenant, name: string, result: OverloadResult): Promise<Phase> {
    const latencies = result.latencies.map(([, ms]) => ms);
    let frame: Phase["frame"] = null;
    if (tenant.id === "modest") {
      const total = this.#modestBefore + result.accepted;
      await until(() => (this.#frames.seen.at(-1)?.total ?? 0) >= total);
      const shown = frameLatencies(result, BATCH, this.#modestBefore, this.#frames);
      this.#modestBefore = total;
      frame = [quantile(shown, 0.5), quantile(shown, 0.99)];
    }
    const refused = result.refused + result.refusedBadly;
    return {
      name,
      tenant: tenant.id,
      offered: (result.accepted + refused * BATCH) / result.seconds,
      accepted: result.accepted / result.seconds,
      refused: (refused * BATCH) / result.seconds,
      post: [quantile(latencies, 0.5), quantile(latencies, 0.99)],
      frame,
      result,
    };
  }
}

/** Waits for a condition. @throws when it is not met within half a minute */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error("it did not settle");
    await wait(100);
  }
}
