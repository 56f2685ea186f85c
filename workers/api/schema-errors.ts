import type { z } from "zod";
import { ApiError } from "../http.ts";

/** One thing wrong with a request: the path of the field, and why. */
export interface FieldProblem {
  readonly field: string;
  readonly message: string;
  readonly reason?: string;
  /** 1-based place in an expression. */
  readonly line?: number;
  readonly column?: number;
}

/** Checks a body. @throws ApiError `bad_request` that names every field that is wrong, unknown ones by name */
export function parseBody<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw badFields(parsed.error.issues.flatMap(problemsOf));
}

/** A 400 that begins with the first problem and lists all. */
export function badFields(problems: readonly FieldProblem[]): ApiError {
  const [first] = problems;
  return new ApiError("bad_request", `${first?.field ?? "body"}: ${first?.message ?? "is not valid"}`, problems);
}

function problemsOf(issue: z.core.$ZodIssue): FieldProblem[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ field: [...issue.path, key].join("."), message: "is not a field here" }));
  }
  return [{ field: issue.path.join(".") || "body", message: issue.message }];
}
