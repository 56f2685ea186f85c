import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Fifo } from "../../../core/streams/fifo.ts";

test("a fifo does what an array does, also when it is long", () => {
  const act = fc.oneof(
    fc.record({ do: fc.constantFrom("push", "shift"), count: fc.integer({ min: 1, max: 1_500 }) }),
    fc.record({ do: fc.constant("removeAt"), count: fc.nat(3_000) }),
  );
  fc.assert(
    fc.property(fc.array(act, { maxLength: 20 }), (acts) => {
      const fifo = new Fifo<number>();
      const list: number[] = [];
      let next = 0;
      for (const { do: what, count } of acts) {
        if (what === "removeAt" && count < list.length) {
          fifo.removeAt(count);
          list.splice(count, 1);
        }
        const times = Array.from({ length: what === "removeAt" ? 0 : count });
        for (const _ of times) {
          if (what === "shift") expect(fifo.shift()).toBe(list.shift());
          else {
            fifo.push(next);
            list.push(next++);
          }
        }
        expect([fifo.length, fifo.first]).toEqual([list.length, list[0]]);
      }
      expect(Array.from({ length: list.length }, () => fifo.shift())).toEqual(list);
    }),
  );
});
