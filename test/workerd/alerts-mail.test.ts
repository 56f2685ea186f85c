import { describe, expect, test, vi } from "vitest";
import { emailConfig } from "../../core/alerts/channels/email.ts";
import { testBody } from "../../core/alerts/notification.ts";
import { sendMail } from "../../workers/notify/mail.ts";
import { smtpTarget } from "../pure/alerts/mail-targets.ts";
import type { Dial } from "../../workers/notify/mail.ts";

const NOW = Date.UTC(2026, 10, 22);
const target = smtpTarget(
  emailConfig.parse({
    host: "mail.example.com",
    port: 587,
    username: "flow",
    password: "sesame-sesame",
    from: "flow@example.com",
    to: "ops@example.com",
  }),
  "https://flow.example.com",
);
const message = { id: "msg_1", body: testBody({ id: "c", name: "ops" }, NOW) };

/** A server that has these things to say, one each time it is listened to; then it hangs up. */
function script(lines: readonly (string | Error)[]): { dial: Dial; log: string[] } {
  const log: string[] = [];
  const left = [...lines];
  const dial: Dial = (host, port, security) => {
    log.push(`dial ${host}:${port} ${security}`);
    return {
      read: async () => {
        const line = left.shift();
        if (line instanceof Error) throw line;
        return line === undefined ? null : new TextEncoder().encode(`${line}\r\n`);
      },
      write: async (bytes) => void log.push(new TextDecoder().decode(bytes).split(/[ :\r]/)[0] ?? ""),
      startTls: () => void log.push("start tls"),
      close: async () => void log.push("close"),
    };
  };
  return { dial, log };
}

function nowhere(): never {
  throw new Error("proxy request failed");
}

const BEFORE_TLS = ["220 hi", "250-hi\r\n250 STARTTLS", "220 go"];
const LOGGED_IN = [...BEFORE_TLS, "250-hi\r\n250 AUTH PLAIN", "235 ok"];

describe("a mail", () => {
  test("is handed over after the connection was upgraded, and the connection is closed", async () => {
    const { dial, log } = script([...LOGGED_IN, "250 ok", "250 ok", "354 go", "250 queued"]);
    expect(await sendMail(target, message, NOW, dial)).toEqual({
      attempted: { kind: "answered", status: 250, retryAfter: null },
      error: null,
    });
    expect(log.join(", ")).toBe(
      "dial mail.example.com:587 starttls, EHLO, STARTTLS, start tls, EHLO, AUTH, MAIL, RCPT, DATA, From, QUIT, close",
    );
  });

  test.each([
    ["421 busy", "unanswered", "answered 421 busy"],
    ["554 go away", "refused", "answered 554 go away"],
    [new Error("connection lost"), "unanswered", "no connection: connection lost"],
  ])("that meets %s", async (said, kind, error) => {
    const { dial, log } = script([said]);
    expect(await sendMail(target, message, NOW, dial)).toEqual({ attempted: { kind, error }, error });
    expect(log.at(-1)).toBe("close");
  });

  test("that one of its readers cannot get is delivered, and that is told", async () => {
    const { dial } = script([...LOGGED_IN, "250 ok", "550 who?", "250 ok", "354 go", "250 queued"]);
    expect(await sendMail({ ...target, to: ["gone@example.com", "ops@example.com"] }, message, NOW, dial)).toEqual({
      attempted: { kind: "answered", status: 250, retryAfter: null },
      error: "not taken for gone@example.com: 550 who?",
    });
  });

  test("to a server that hangs up is tried again", async () => {
    const { dial } = script([...LOGGED_IN, "250 ok"]);
    expect(await sendMail(target, message, NOW, dial)).toMatchObject({
      attempted: { kind: "unanswered" },
      error: "the server hung up",
    });
  });

  test("to a server that says nothing is given up after 20 s", async () => {
    vi.useFakeTimers();
    const { dial } = script([]);
    const silent: Dial = (...where) => ({ ...dial(...where), read: async () => await new Promise<never>(() => {}) });
    const sending = sendMail(target, message, NOW, silent);
    await vi.advanceTimersByTimeAsync(20_000);
    vi.useRealTimers();
    expect(await sending).toMatchObject({ attempted: { kind: "unanswered" }, error: "no end within 20 s" });
  });

  test("to where nobody listens is tried again", async () => {
    expect(await sendMail(target, message, NOW, nowhere)).toMatchObject({
      attempted: { kind: "unanswered" },
      error: "no connection: proxy request failed",
    });
  });
});
