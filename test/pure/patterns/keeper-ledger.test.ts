import { describe, expect, test } from "vitest";
import { KeeperLedger } from "../../../durable-objects/aggregator/keeper-ledger.ts";

const EPOCH = 3;
const PATTERN = 1;

function askedAndAnswered(wantsAt: number): KeeperLedger {
  const ledger = new KeeperLedger([5]);
  ledger.answered(5, ledger.ask(5), EPOCH, [[PATTERN, wantsAt]]);
  return ledger;
}

describe("what home knows of a keeper", () => {
  test("is nothing at first: it must hear, whatever the watermark", () => {
    expect(new KeeperLedger([5]).mustHear(5, EPOCH, [])).toBe(true);
  });

  test("is the watermark it waits for: it must hear of that one, and of new definitions", () => {
    const ledger = askedAndAnswered(100);
    expect(ledger.mustHear(5, EPOCH, [[PATTERN, 99]])).toBe(false);
    expect(ledger.mustHear(5, EPOCH, [[PATTERN, 100]])).toBe(true);
    expect(ledger.mustHear(5, EPOCH + 1, [[PATTERN, 99]])).toBe(true);
    expect([ledger.wantedBy(PATTERN), ledger.wantedBy(2)]).toEqual([100, Infinity]);
  });

  test("is the earlier of what it said and what a shard reports, which may be older or newer", () => {
    const ledger = askedAndAnswered(100);
    ledger.report(5, [[PATTERN, 150]]);
    expect(ledger.wantedBy(PATTERN)).toBe(100);
    ledger.report(5, [[PATTERN, 50]]);
    expect(ledger.wantedBy(PATTERN)).toBe(50);
  });

  test("is nothing again when a shard reports while an answer is under way: the answer may be the older one", () => {
    const ledger = new KeeperLedger([5]);
    const asked = ledger.ask(5);
    ledger.report(5, [[PATTERN, 50]]);
    ledger.answered(5, asked, EPOCH, []);
    expect(ledger.mustHear(5, EPOCH, [])).toBe(true);
  });
});
