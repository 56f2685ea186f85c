import { describe, expect, test } from "vitest";
import { compileEventExpression, compileRuleExpression } from "../../core/expressions/expression.ts";

const values = { type: "web.request", tags: ["beta"], "data.status": 404, "data.path": "/ab.html" };

describe("expressions in workerd", () => {
  test.each([
    "event.type == 'web.request' && event.data.status / 2 > 1.5",
    "event.data.path.matches('^/(a|b)+[.]html$')",
    "event.tags.exists(t, t.startsWith('b')) && event.data.missing.deeper == null",
  ])("%s", (source) => {
    const compiled = compileEventExpression(source);
    expect(compiled).toMatchObject({ ok: true });
    if (!compiled.ok) return;
    const { expression } = compiled;
    const byPath = new Map(Object.entries(values));
    expect(expression.test((path) => byPath.get((expression.paths[path] ?? []).join(".")))).toBe(true);
  });

  test("a refusal has its place", () => {
    expect(compileRuleExpression("requests >\n >", ["requests"])).toMatchObject({ ok: false, line: 2, column: 2 });
  });
});
