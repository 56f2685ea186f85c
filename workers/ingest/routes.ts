import { Hono } from "hono";
import { requireRole } from "../auth/index.ts";
import { ApiError, type AppEnv } from "../http.ts";
import { readBody } from "./body.ts";
import { admission, setRateLimitHeaders, takeEvents } from "./door.ts";
import { idsFor } from "./event-ids.ts";
import { parseBatch, parseJson, parseLines } from "./parse.ts";
import { batchAnswer, singleAnswer } from "./receipt.ts";
import { openSocket, requireProducer } from "./upgrade.ts";

const JSON_TYPE = "application/json";
const LINES_TYPE = "application/x-ndjson";

/** The doors by which events come in. */
export const ingestRoutes = new Hono<AppEnv>()
  .post("/events", requireRole("ingest"), admission(), async (c) => {
    mediaType(c.req.raw, [JSON_TYPE]);
    const { tenant } = c.get("principal");
    const ids = idsFor(c.req.raw, tenant);
    const body = await readBody(c.req.raw);
    try {
      const parsed = { values: [parseJson(body.text)], indexes: null, unparsed: [] };
      const receipt = await takeEvents(c.env, tenant, parsed, ids, body.bytes);
      setRateLimitHeaders(c, tenant);
      return singleAnswer(c, receipt);
    } finally {
      body.release();
    }
  })
  .post("/events/batch", requireRole("ingest"), admission(), async (c) => {
    const type = mediaType(c.req.raw, [JSON_TYPE, LINES_TYPE]);
    const { tenant } = c.get("principal");
    const ids = idsFor(c.req.raw, tenant);
    const body = await readBody(c.req.raw);
    try {
      const parsed = type === LINES_TYPE ? parseLines(body.text) : parseBatch(body.text);
      const receipt = await takeEvents(c.env, tenant, parsed, ids, body.bytes);
      setRateLimitHeaders(c, tenant);
      return batchAnswer(c, receipt, c.req.query("results") === "all");
    } finally {
      body.release();
    }
  })
  .get("/ws", requireProducer(), admission(), openSocket);

/** The request's media type, when it is one of `allowed` in UTF-8. @throws ApiError `unsupported_media_type` */
function mediaType(request: Request, allowed: readonly string[]): string {
  const [type = "", ...parameters] = (request.headers.get("Content-Type") ?? "").toLowerCase().split(";");
  const found = allowed.find((candidate) => candidate === type.trim());
  if (found === undefined) {
    throw new ApiError("unsupported_media_type", `Content-Type must be ${allowed.join(" or ")}.`, { allowed });
  }
  const charset = parameters.map((one) => one.trim()).find((one) => one.startsWith("charset="));
  if (charset === undefined || /^charset="?utf-?8"?$/.test(charset)) return found;
  throw new ApiError("unsupported_media_type", "The charset must be utf-8.", { allowed: ["utf-8"] });
}
