import { Hono } from "hono";
import { liveHubName, liveNodeName } from "../../core/events/names.ts";
import type { Topic } from "../../core/live/protocol.ts";
import { authenticate } from "../auth/index.ts";
import { roleAllows } from "../auth/roles.ts";
import { issueTicket, redeemTicket, TICKET_SECONDS } from "../auth/ticket.ts";
import { ApiError, ok } from "../http.ts";
import type { AppContext, AppEnv, Principal } from "../http.ts";

/** Seconds after which a tenant with all its sockets in use may try again. */
const FULL_RETRY_SECONDS = 10;
/** Objects that a socket is sent to, one after another, before it is refused. */
const MAX_PLACE_ATTEMPTS = 3;

/** Live sockets, and the tickets that open them. */
export const liveRoutes = new Hono<AppEnv>()
  .post("/api/v1/tickets", async (c) => {
    // Any role: what a ticket opens is decided where it is shown, live sockets here and the producers' at ingest.
    const principal = await authenticate(c.req.raw, c.env);
    c.set("principal", principal);
    return ok(c, { ticket: await issueTicket(principal, c.env), expires_in: TICKET_SECONDS });
  })
  .get("/ws/live", (c) => openSocket(c, []))
  .get("/ws/dashboard", (c) => openSocket(c, ["dashboard:overview", "events", "alerts"]))
  .get("/ws/metrics", (c) => openSocket(c, ["dashboard:overview", "aggregation:events_1m"]))
  .get("/ws/alerts", (c) => openSocket(c, ["alerts"]));

/** Opens a socket on the tenant's hub, following `topics` from the start. */
async function openSocket(c: AppContext, topics: readonly Topic[]): Promise<Response> {
  if (c.req.header("Upgrade")?.toLowerCase() !== "websocket") {
    throw new ApiError("bad_request", "This path is a WebSocket; connect with an Upgrade header.");
  }
  assertSameOrigin(c);
  const principal = await socketPrincipal(c);
  c.set("principal", principal);
  if (!roleAllows(principal.role, "viewer")) {
    throw new ApiError("forbidden", `This needs the role viewer; the credential has ${principal.role}.`);
  }
  const response = await connect(c.env, principal, topics);
  if (response.status === 429) {
    throw new ApiError("too_many_requests", "All live sockets of this tenant are in use.", null, FULL_RETRY_SECONDS);
  }
  if (response.status !== 101) throw new Error(`the live hub answered ${response.status}`);
  return response;
}

/**
 * A browser says which page opens a socket, and no other site's page may: browsers do not protect sockets by CORS.
 * Host and port are compared, not the scheme, which a proxy that ends TLS before us changes. @throws ApiError `forbidden`
 */
function assertSameOrigin(c: AppContext): void {
  const origin = c.req.header("Origin");
  if (origin === undefined) return;
  if (URL.canParse(origin) && new URL(origin).host === new URL(c.req.url).host) return;
  throw new ApiError("forbidden", "Live sockets are opened from the platform's own pages.");
}

/** By ticket, or by Bearer header where the client can send one. @throws ApiError `unauthorized` */
async function socketPrincipal(c: AppContext): Promise<Principal> {
  const ticket = c.req.query("ticket");
  if (ticket === undefined) return await authenticate(c.req.raw, c.env);
  const principal = await redeemTicket(c.env, ticket);
  if (principal === null) throw new ApiError("unauthorized", "The ticket is not valid, was used, or is too old.");
  return principal;
}

/** The hub gets nothing of the client's request but what was checked here. A root without room names the node to go to. */
async function connect(env: Env, principal: Principal, topics: readonly Topic[]): Promise<Response> {
  const url = new URL("https://live-hub/connect");
  url.searchParams.set("tenant", principal.tenant);
  url.searchParams.set("key_id", principal.keyId);
  for (const topic of topics) url.searchParams.append("topic", topic);
  for (let attempt = 1; ; attempt++) {
    const atRoot = await upgrade(env, liveHubName(principal.tenant), url);
    const node = Number(atRoot.headers.get("Live-Node") ?? 0);
    if (node === 0) return atRoot;
    url.searchParams.set("pass", atRoot.headers.get("Live-Pass") ?? "");
    const atNode = await upgrade(env, liveNodeName(principal.tenant, node), url);
    // What the root knew was old: the node has filled since, and has told it.
    if (atNode.status !== 429 || attempt >= MAX_PLACE_ATTEMPTS) return atNode;
    url.searchParams.delete("pass");
  }
}

async function upgrade(env: Env, object: string, url: URL): Promise<Response> {
  return await env.LIVE_HUB.getByName(object).fetch(url.href, { headers: { Upgrade: "websocket" } });
}
