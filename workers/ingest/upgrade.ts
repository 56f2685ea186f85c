import type { MiddlewareHandler } from "hono";
import { authenticate, findPrincipal } from "../auth/index.ts";
import { roleAllows } from "../auth/roles.ts";
import { redeemTicket } from "../auth/ticket.ts";
import { ApiError, type AppContext, type AppEnv, type Principal } from "../http.ts";
import { logError } from "../log.ts";
import { assertOpen, hasLeft, takeEvents } from "./door.ts";
import { randomIds } from "./event-ids.ts";
import { IngestSocket, type SocketDoor } from "./socket.ts";

/**
 * Middleware: only for producers, by Bearer header or by `?ticket=`; sets c.var.principal. Pages of any site may open the
 * socket, as they may post events: neither rides on cookies.
 * @throws ApiError `unauthorized` or `forbidden`
 */
export function requireProducer(): MiddlewareHandler<AppEnv> {
  return async function requireProducerMiddleware(c, next) {
    const ticket = c.req.query("ticket");
    const principal = ticket === undefined ? await authenticate(c.req.raw, c.env) : await redeemTicket(c.env, ticket);
    if (principal === null) throw new ApiError("unauthorized", "The ticket is not valid, was used, or is too old.");
    c.set("principal", principal);
    if (!roleAllows(principal.role, "ingest")) {
      throw new ApiError("forbidden", `This needs the role ingest; the credential has ${principal.role}.`);
    }
    await next();
  };
}

/** Answers the upgrade and serves the socket. @throws ApiError `bad_request` when this is no upgrade */
export function openSocket(c: AppContext): Response {
  if (c.req.header("Upgrade")?.toLowerCase() !== "websocket") {
    throw new ApiError("bad_request", "This path is a WebSocket; connect with an Upgrade header.");
  }
  const { 0: client, 1: server } = new WebSocketPair();
  new IngestSocket(server, socketDoor(c.env, c.get("principal"))).accept();
  return new Response(null, { status: 101, webSocket: client });
}

function socketDoor(env: Env, { tenant, keyId }: Principal): SocketDoor {
  const ids = randomIds();
  return {
    isAllowed: async () => {
      const principal = await findPrincipal(env, tenant, keyId);
      return principal !== null && roleAllows(principal.role, "ingest");
    },
    assertOpen: () => assertOpen(env, tenant),
    take: (parsed, bytes) => takeEvents(env, tenant, parsed, ids, bytes).finally(() => hasLeft(tenant)),
    onError: (error) => logError("ingest_socket", error, { tenant }),
  };
}
