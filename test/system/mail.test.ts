import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";

/** A mail server over real TCP that checks the order of commands and keeps what it was handed. */
class MailServer {
  readonly mails: { from: string; to: string[]; text: string }[] = [];
  readonly #server = createServer((socket) => this.#serve(socket));
  /** Sent instead of the next `250` to MAIL. */
  refusal: string | null = null;

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address: AddressInfo | string | null = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return address.port;
  }

  close(): void {
    this.#server.close();
  }

  #serve(socket: Socket): void {
    let unread = "";
    let isBody = false;
    let mail = { from: "", to: [] as string[], text: "" };
    const say = (line: string): boolean => socket.write(`${line}\r\n`);
    socket.on("error", () => {});
    say("220 mail.test ESMTP");
    socket.on("data", (bytes) => {
      unread += bytes.toString("latin1");
      for (let end = unread.indexOf("\r\n"); end !== -1; end = unread.indexOf("\r\n")) {
        const line = unread.slice(0, end);
        unread = unread.slice(end + 2);
        if (isBody) {
          isBody = line !== ".";
          if (isBody) mail.text += `${line.replace(/^\./, "")}\r\n`;
          else {
            this.mails.push(mail);
            mail = { from: "", to: [], text: "" };
            say("250 queued");
          }
        } else if (line.startsWith("EHLO ")) say("250-mail.test\r\n250 8BITMIME");
        else if (line.startsWith("MAIL FROM:") && this.refusal !== null) {
          say(this.refusal);
          this.refusal = null;
        } else if (line.startsWith("MAIL FROM:")) {
          mail.from = line.slice(10);
          say("250 ok");
        } else if (line.startsWith("RCPT TO:") && mail.from !== "") {
          mail.to.push(line.slice(8));
          say("250 ok");
        } else if (line === "DATA" && mail.to.length > 0) {
          isBody = true;
          say("354 go ahead");
        } else if (line === "QUIT") socket.end("221 bye\r\n");
        else say("503 out of order");
      }
    });
  }
}

let platform: Platform;
const server = new MailServer();

beforeAll(async () => {
  platform = await startPlatform();
});

afterAll(async () => {
  server.close();
  await platform.dispose();
});

async function post(path: string, json: unknown): Promise<{ data: Record<string, unknown> }> {
  const response = await platform.fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(json),
  });
  return JSON.parse(await response.text());
}

test("a test mail goes over TCP to a mail server, and its refusal comes back", async () => {
  const port = await server.listen();
  const config = {
    host: "127.0.0.1",
    port,
    security: "none",
    from: "flow@example.com",
    to: ["ops@example.com", "boss@example.com"],
    allow_private_targets: true,
  };
  const made = await post("/api/v1/channels", { name: "mail", type: "email", config });
  const path = `/api/v1/channels/${String(made.data["id"])}/test`;
  expect((await post(path, {})).data).toMatchObject({ delivered: true, status: 250, error: null });
  expect(server.mails).toMatchObject([
    {
      from: "<flow@example.com>",
      to: ["<ops@example.com>", "<boss@example.com>"],
      text: expect.stringContaining("Auto-Submitted: auto-generated\r\n"),
    },
  ]);
  const [, body = ""] = server.mails[0]?.text.split("\r\n\r\n") ?? [];
  expect(Buffer.from(body, "base64").toString()).toContain("this channel works");
  server.refusal = "550 5.7.1 not from you";
  expect((await post(path, {})).data).toMatchObject({ delivered: false, error: "answered 550 5.7.1 not from you" });
});
