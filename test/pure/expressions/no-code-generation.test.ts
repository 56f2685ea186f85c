import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** workerd refuses `eval` and `new Function`; so does a Node started like this, where a test Worker would allow them. */
const FLAGS = ["--disallow-code-generation-from-strings", "--no-warnings", "--input-type=module"];

const PROGRAM = `
  const { compileEventExpression } = await import(process.env.EXPRESSIONS);
  let refused = "";
  try { new Function("return 1")() } catch (error) { refused = error.name }
  const sources = [
    "event.type == 'web.request' && event.data.status / 2 > 1.5",
    "event.data.path.matches('^/(a|b)+[.]html$') || size(event.tags) > 1",
    "event.tags.exists(t, t.startsWith('b')) ? {'a': [1, 2]}.a.map(x, x + 1) == [2, 3] : false",
  ];
  const values = { type: "web.request", tags: ["beta"], "data.status": 404, "data.path": "/ab.html" };
  const verdicts = sources.map((source) => {
    const { expression } = compileEventExpression(source);
    return expression.verdict((path) => values[expression.paths[path].join(".")]);
  });
  console.log(JSON.stringify({ refused, verdicts }));
`;

test("parsing and evaluating make no code from strings", () => {
  const expressions = fileURLToPath(new URL("../../../core/expressions/expression.ts", import.meta.url));
  const { stdout, stderr } = spawnSync(process.execPath, [...FLAGS, "--eval", PROGRAM], {
    encoding: "utf8",
    env: { ...process.env, EXPRESSIONS: expressions, NODE_OPTIONS: "" },
  });
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual({ refused: "EvalError", verdicts: ["pass", "pass", "pass"] });
});
