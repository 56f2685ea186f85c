import { listDurableObjectIds } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import { issueTicket, redeemTicket, TICKET_SECONDS } from "../../workers/auth/ticket.ts";
import type { Principal } from "../../workers/http.ts";
import { call, makeKey, makeTenant } from "./http-client.ts";
import { openLive, socketOf, upgrade } from "./live-socket.ts";

async function viewer(): Promise<{ principal: Principal; key: string; adminKey: string }> {
  const tenant = await makeTenant();
  const { id, key } = await makeKey(tenant.adminKey, "viewer");
  return { principal: { tenant: tenant.id, role: "viewer", keyId: id }, key, adminKey: tenant.adminKey };
}

async function ticketOf(key: string): Promise<string> {
  return String((await call("POST", "/api/v1/tickets", { key })).data["ticket"]);
}

describe("tickets", () => {
  test("a ticket opens one socket, once", async () => {
    const { key } = await viewer();
    const ticket = await ticketOf(key);
    const first = await upgrade(`/ws/live?ticket=${ticket}`);
    expect(first.status).toBe(101);
    socketOf(first);
    const second = await upgrade(`/ws/live?ticket=${ticket}`);
    expect(second.status).toBe(401);
  });

  test("two redemptions at the same moment: one wins", async () => {
    const { principal } = await viewer();
    const ticket = await issueTicket(principal, env);
    const results = await Promise.all(Array.from({ length: 5 }, () => redeemTicket(env, ticket)));
    expect(results.filter((result) => result !== null)).toEqual([principal]);
  });

  test("a ticket is refused after 30 s, and good just before", async () => {
    const { principal } = await viewer();
    const issuedAt = Math.floor(Date.now() / 1000) * 1000;
    const late = await issueTicket(principal, env, issuedAt);
    expect(await redeemTicket(env, late, issuedAt + TICKET_SECONDS * 1000)).toBeNull();
    expect(await redeemTicket(env, late, issuedAt + TICKET_SECONDS * 1000 - 1)).toEqual(principal);
  });

  test("a ticket dies with its key", async () => {
    const { key, principal, adminKey } = await viewer();
    const ticket = await ticketOf(key);
    await call("DELETE", `/api/v1/keys/${principal.keyId}`, { key: adminKey });
    expect((await upgrade(`/ws/live?ticket=${ticket}`)).status).toBe(401);
  });

  test("a ticket is no API credential, and a token is no ticket", async () => {
    const { key } = await viewer();
    expect((await call("GET", "/api/v1/me", { key: await ticketOf(key) })).status).toBe(401);
    const token = String((await call("POST", "/auth/token", { key })).data["token"]);
    expect((await upgrade(`/ws/live?ticket=${token}`)).status).toBe(401);
  });

  test.each([
    ["junk", "junk"],
    ["nothing", ""],
    ["a tenant and a guess", `${btoa("victim")}.guess`],
  ])("%s is 401", async (_name, ticket) => {
    expect((await upgrade(`/ws/live?ticket=${ticket}`)).status).toBe(401);
  });

  test("a ticket signed with another secret is refused before any object of that tenant exists", async () => {
    const { principal } = await viewer();
    const before = (await listDurableObjectIds(env.LIVE_HUB)).length;
    const forged = await new SignJWT({ tenant: "victim-of-forgery" })
      .setProtectedHeader({ alg: "HS256", typ: "ticket+jwt" })
      .setSubject(principal.keyId)
      .setJti("x")
      .setIssuer("streamflow")
      .setAudience("streamflow-live")
      .setExpirationTime("30s")
      .sign(new TextEncoder().encode("another-secret-0123456789abcdef-0123456789"));
    expect(await redeemTicket(env, forged)).toBeNull();
    expect(await listDurableObjectIds(env.LIVE_HUB)).toHaveLength(before);
  });

  test("without a credential there is none; an ingest key's opens no live socket", async () => {
    expect((await call("POST", "/api/v1/tickets")).status).toBe(401);
    const { adminKey } = await viewer();
    const { key } = await makeKey(adminKey, "ingest");
    expect((await upgrade(`/ws/live?ticket=${await ticketOf(key)}`)).status).toBe(403);
  });
});

describe("opening a socket", () => {
  test("without a credential is 401, as an ingest key 403, without an upgrade 400", async () => {
    const { adminKey, key } = await viewer();
    const ingest = await makeKey(adminKey, "ingest");
    expect((await upgrade("/ws/live")).status).toBe(401);
    expect((await upgrade("/ws/live", { Authorization: `Bearer ${ingest.key}` })).status).toBe(403);
    expect((await call("GET", "/ws/live", { key })).status).toBe(400);
  });

  test.each([
    ["another site", "https://evil.example", 403],
    ["another port", "http://streamflow.test:8080", 403],
    ["a subdomain", "http://a.streamflow.test", 403],
    ["a sandboxed page", "null", 403],
    ["the same site", "http://streamflow.test", 101],
    ["the same site behind a proxy that ends TLS", "https://streamflow.test", 101],
  ])("from %s answers %s with %i", async (_name, origin, status) => {
    const { key } = await viewer();
    const response = await upgrade("/ws/live", { Authorization: `Bearer ${key}`, Origin: origin });
    expect(response.status).toBe(status);
    if (response.webSocket !== null) socketOf(response).close();
  });

  test.each([
    ["/ws/dashboard", ["alerts", "dashboard:overview", "events"]],
    ["/ws/metrics", ["aggregation:events_1m", "dashboard:overview"]],
    ["/ws/alerts", ["alerts"]],
  ])("%s follows %j from the start", async (path, topics) => {
    const { key } = await viewer();
    const socket = await openLive(key, path);
    await socket.frame(topics.length);
    const seen = socket.frames.map((frame) => ("topic" in frame ? frame.topic : frame.type));
    expect(seen.sort()).toEqual(topics);
    expect(socket.types.every((type) => type === "snapshot")).toBe(true);
  });
});
