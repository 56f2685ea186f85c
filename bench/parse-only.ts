import { Miniflare } from "miniflare";
import { baseOptions } from "../scripts/local/runtime.ts";

/** A Worker that reads and parses a body and does nothing else: as fast as any ingest in JavaScript can be. */
const SCRIPT = `export default {
  async fetch(request) {
    const { events } = await request.json();
    return Response.json({ success: true, data: { accepted: events.length } });
  },
};`;

/** The parse-only Worker in a workerd of its own. */
export interface ParseOnly {
  /** Without a slash at the end. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts it on a free port of the loopback address. */
export async function startParseOnly(): Promise<ParseOnly> {
  const miniflare = new Miniflare({
    ...baseOptions(),
    workers: [
      {
        config: {
          name: "parse-only",
          compatibilityDate: "2026-11-01",
          manifest: {
            mainModule: "index.js",
            modulesRoot: "/",
            modules: { "index.js": { type: "esm", contents: SCRIPT } },
          },
        },
        dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
      },
    ],
  });
  const url = await miniflare.unsafeGetDirectURL("parse-only");
  return { url: url.href.replace(/\/$/, ""), stop: () => miniflare.dispose() };
}
