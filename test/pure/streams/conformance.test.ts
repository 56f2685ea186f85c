// The rules of Reactive Streams and of the iterator protocol, each against every operator.
import { describe, test } from "vitest";
import { OPERATORS } from "./operators.ts";
import { RULES } from "./rules.ts";

describe.each(OPERATORS)("$name", (operator) => {
  for (const rule of RULES.filter(({ only }) => only?.(operator) ?? true)) {
    test(`${rule.name} (${rule.source})`, () => rule.check(operator));
  }
});
