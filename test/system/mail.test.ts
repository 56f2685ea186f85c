import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CERTIFICATE } from "./mail-certificate.ts";
import { MailServer } from "./mail-server.ts";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";

let platform: Platform;
const folder = mkdtempSync(join(tmpdir(), "streamflow-mail-"));
const servers: MailServer[] = [];

beforeAll(async () => {
  const file = join(folder, "certificate.pem");
  writeFileSync(file, CERTIFICATE);
  // What the local runtime trusts besides the public authorities.
  platform = await startPlatform({ env: { NODE_EXTRA_CA_CERTS: file } });
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
  await platform.dispose();
  rmSync(folder, { recursive: true });
});

async function post(path: string, json: unknown): Promise<{ data: Record<string, unknown> }> {
  const response = await platform.fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(json),
  });
  return JSON.parse(await response.text());
}

/** A mail server and the path that sends a test mail to it. */
async function setUp(security: "tls" | "starttls" | "none", more: object = {}, logins?: readonly string[]) {
  const server = new MailServer(security, logins);
  servers.push(server);
  const config = {
    host: "localhost",
    port: await server.listen(),
    security,
    from: "flow@example.com",
    to: ["ops@example.com", "boss@example.com"],
    allow_private_targets: true,
    ...more,
  };
  const made = await post("/api/v1/channels", { name: "mail", type: "email", config });
  return { server, path: `/api/v1/channels/${String(made.data["id"])}/test` };
}

const login = { username: "flow", password: "sesame-sesame" };

test.each([
  ["tls" as const, login],
  ["starttls" as const, login],
  ["none" as const, {}],
])("a test mail reaches a mail server over %s, and its refusal comes back", async (security, more) => {
  const { server, path } = await setUp(security, more);
  expect((await post(path, {})).data).toMatchObject({ delivered: true, status: 250, error: null });
  expect(server.mails).toMatchObject([
    {
      from: "flow@example.com",
      to: ["ops@example.com", "boss@example.com"],
      text: expect.stringContaining("Auto-Submitted: auto-generated\r\n"),
      isSecure: security !== "none",
    },
  ]);
  const [, body = ""] = server.mails[0]?.text.split("\r\n\r\n") ?? [];
  expect(Buffer.from(body, "base64").toString()).toContain("this channel works");
  server.refusal = { code: 550, text: "not from you" };
  expect((await post(path, {})).data).toMatchObject({ delivered: false, error: "answered 550 not from you" });
});

test("a certificate for another name is not believed", async () => {
  const { server, path } = await setUp("tls", { ...login, host: "127.0.0.1" });
  expect((await post(path, {})).data).toMatchObject({
    delivered: false,
    error: expect.stringContaining("no connection"),
  });
  expect(server.mails).toEqual([]);
});

test("a wrong password is told", async () => {
  const { path } = await setUp("starttls", { ...login, password: "another-password" });
  expect((await post(path, {})).data).toMatchObject({ delivered: false, error: "answered 535 no" });
});

test("a server that only knows AUTH LOGIN is logged in to, and one that knows neither is not", async () => {
  const { server, path } = await setUp("tls", login, ["LOGIN"]);
  expect((await post(path, {})).data).toMatchObject({ delivered: true });
  expect(server.mails).toHaveLength(1);
  const other = await setUp("tls", login, ["CRAM-MD5"]);
  expect((await post(other.path, {})).data).toMatchObject({
    delivered: false,
    error: "the server offers neither AUTH PLAIN nor AUTH LOGIN",
  });
});

test("a reader whom the server does not know keeps nobody else from the mail", async () => {
  const { server, path } = await setUp("starttls", login);
  server.unknown.add("ops@example.com");
  expect((await post(path, {})).data).toMatchObject({
    delivered: true,
    error: "not taken for ops@example.com: 550 who?",
  });
  expect(server.mails).toMatchObject([{ to: ["boss@example.com"] }]);
});

test("the platform's own binding takes a mail in the local platform too", async () => {
  const config = { transport: "binding", from: "flow@example.com", to: "ops@example.com" };
  const made = await post("/api/v1/channels", { name: "own mail", type: "email", config });
  const answer = await post(`/api/v1/channels/${String(made.data["id"])}/test`, {});
  expect(answer.data).toMatchObject({ delivered: true, status: 250, error: null });
});
