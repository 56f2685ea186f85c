import { describe, expect, test } from "vitest";
import { FAN_OUT_LIMITS, NODE_IDLE_MS, NodeBook, type NodeReport } from "../../../core/live/node-book.ts";

const NOW = 1_000_000;

function saying(sockets: number, arrived: string[] = []): NodeReport {
  return { sockets, arrived };
}

function book(socketsPerObject = 2, nodes = 2): NodeBook {
  const made = new NodeBook();
  made.limits = { socketsPerObject, nodes };
  return made;
}

describe("a new socket", () => {
  test("goes to the root while it has room, then to nodes one after another, then nowhere", () => {
    const nodes = book();
    expect(nodes.place(1, "a", NOW)).toBe("here");
    const placed = ["b", "c", "d", "e", "f"].map((pass) => nodes.place(2, pass, NOW));
    expect(placed).toEqual([
      { node: 1, isNew: true },
      { node: 1, isNew: false },
      { node: 2, isNew: true },
      { node: 2, isNew: false },
      "full",
    ]);
  });

  test("counts from when it was sent, once when it has arrived, and no longer when it never does", () => {
    const nodes = book(2, 1);
    nodes.place(2, "a", NOW);
    nodes.place(2, "b", NOW);
    nodes.report(1, saying(1, ["a"]), NOW + 1_000);
    expect(nodes.place(2, "c", NOW + 1_000)).toBe("full");
    expect(nodes.place(2, "c", NOW + 31_000)).toEqual({ node: 1, isNew: false });
  });

  test("goes to the fullest node that has room, so that others empty", () => {
    const nodes = book(3, 3);
    nodes.report(1, saying(1), NOW);
    nodes.report(2, saying(2), NOW);
    nodes.report(3, saying(3), NOW);
    expect(nodes.place(3, "a", NOW)).toEqual({ node: 2, isNew: false });
    expect(nodes.place(3, "b", NOW)).toEqual({ node: 1, isNew: false });
  });

  test("goes to no node of an earlier life before that has said how full it is", () => {
    const nodes = book(2, 2);
    nodes.add(1, NOW);
    expect(nodes.place(2, "a", NOW)).toEqual({ node: 2, isNew: true });
    nodes.report(1, saying(1), NOW);
    expect(nodes.place(2, "b", NOW)).toEqual({ node: 1, isNew: false });
  });

  test("finds room for 16,000 in all", () => {
    const nodes = new NodeBook();
    let placed = FAN_OUT_LIMITS.socketsPerObject;
    while (nodes.place(FAN_OUT_LIMITS.socketsPerObject, `p${placed}`, NOW) !== "full") placed++;
    expect(placed).toBe(16_000);
    expect(nodes.nodes).toHaveLength(15);
  });
});

describe("a node", () => {
  test("can go when it had no socket for a minute, not while one is on its way", () => {
    const nodes = book();
    nodes.report(1, saying(1), NOW);
    nodes.report(1, saying(0), NOW + 1_000);
    expect(nodes.idle(NOW + NODE_IDLE_MS)).toEqual([]);
    expect(nodes.idle(NOW + NODE_IDLE_MS + 1)).toEqual([1]);
    nodes.place(2, "a", NOW + NODE_IDLE_MS);
    expect(nodes.idle(NOW + NODE_IDLE_MS + 1)).toEqual([]);
    nodes.drop(1);
    expect(nodes.nodes).toEqual([]);
  });

  test("that says nothing is asked, at once when it is of an earlier life", () => {
    const nodes = book();
    nodes.report(1, saying(1), NOW);
    nodes.add(2, NOW);
    expect(nodes.overdue(NOW + 20_000)).toEqual([2]);
    expect(nodes.overdue(NOW + 60_000)).toEqual([1, 2]);
  });
});
