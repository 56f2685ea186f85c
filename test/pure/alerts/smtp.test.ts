import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { base64 } from "../../../core/alerts/base64.ts";
import { isMailAddress, MAX_REPLY_CHARS, SmtpConversation, stuffed } from "../../../core/alerts/smtp.ts";
import type { SmtpAction, Submission } from "../../../core/alerts/smtp.ts";

const mail: Submission = {
  security: "starttls",
  login: { username: "flow", password: "sesame pässword" },
  clientName: "flow.example.com",
  from: "flow@flow.example.com",
  to: ["ops@example.com", "boss@example.com"],
  message: "Subject: x\r\n\r\nhello\r\n.\r\n..dots\r\nbye",
};
const PLAIN = `AUTH PLAIN ${Buffer.from("\0flow\0sesame pässword").toString("base64")}`;

/** A conversation as one reads it: `S:` the server, `C:` the client, `TLS` the upgrade, then how it ended. */
function converse(submission: Submission, lines: readonly string[]): string[] {
  const conversation = new SmtpConversation(submission);
  const log: string[] = [];
  const write = (actions: readonly SmtpAction[]): void => {
    for (const action of actions) {
      if (action.do === "write") log.push(`C: ${action.text.slice(0, -2).replaceAll("\r\n", "⏎")}`);
      if (action.do === "fail") log.push(`${action.isTransient ? "later" : "never"}: ${action.reason}`);
      if (action.do === "done") log.push(["done", ...action.refused].join("; "));
      if (action.do === "start_tls") {
        log.push("TLS");
        write(conversation.secured());
      }
    }
  };
  for (const line of lines) write(line === "hangs up" ? conversation.closed() : conversation.receive(`${line}\r\n`));
  return log;
}

const EHLO = "250-mail.example.com hello\r\n250-SIZE 1000\r\n250-AUTH LOGIN PLAIN\r\n250 8BITMIME";
const BEFORE_TLS = ["220 mail.example.com ESMTP", "250-mail.example.com\r\n250 STARTTLS", "220 go ahead"];
const OK = "250 ok";

describe("a submission", () => {
  test("with STARTTLS says its password only afterwards, and doubles dots", () => {
    const log = converse(mail, [...BEFORE_TLS, EHLO, "235 welcome", OK, OK, OK, "354 go", OK]);
    expect(log).toEqual([
      "C: EHLO flow.example.com",
      "C: STARTTLS",
      "TLS",
      "C: EHLO flow.example.com",
      `C: ${PLAIN}`,
      "C: MAIL FROM:<flow@flow.example.com>",
      "C: RCPT TO:<ops@example.com>",
      "C: RCPT TO:<boss@example.com>",
      "C: DATA",
      "C: Subject: x⏎⏎hello⏎..⏎...dots⏎bye⏎.",
      "done",
    ]);
  });

  test("with TLS from the start, and a server that knows LOGIN only", () => {
    const log = converse({ ...mail, security: "tls", to: ["ops@example.com"] }, [
      "220 hi",
      "250-hi\r\n250 AUTH LOGIN",
      "334 VXNlcm5hbWU6",
      "334 UGFzc3dvcmQ6",
      "235 ok",
      OK,
      OK,
      "354 go",
      OK,
    ]);
    expect(log.slice(0, 4)).toEqual([
      "C: EHLO flow.example.com",
      "C: AUTH LOGIN",
      `C: ${Buffer.from("flow").toString("base64")}`,
      `C: ${Buffer.from("sesame pässword").toString("base64")}`,
    ]);
    expect(log.at(-1)).toBe("done");
  });

  test("reads replies however they arrive", () => {
    const whole = ["220 hi", EHLO, "235 ok", OK, OK, OK, "354 go", OK].map((line) => `${line}\r\n`);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (sizes) => {
        const conversation = new SmtpConversation({ ...mail, security: "tls" });
        const done: SmtpAction[] = [];
        let turn = 0;
        for (const text of whole) {
          for (let at = 0; at < text.length;) {
            const size = sizes[turn++ % sizes.length] ?? 1;
            done.push(...conversation.receive(text.slice(at, at + size)));
            at += size;
          }
        }
        expect(done).toHaveLength(8);
        expect(done.at(-1)).toEqual({ do: "done", refused: [] });
      }),
    );
  });
});

describe("a submission that fails", () => {
  const tls: Submission = { ...mail, security: "tls" };
  test.each([
    ["busy at the door", tls, ["421 too busy"], "later: answered 421 too busy"],
    ["turned away at the door", tls, ["554 no service"], "never: answered 554 no service"],
    ["no STARTTLS", mail, ["220 hi", "250 hi"], "never: the server does not offer STARTTLS"],
    ["STARTTLS refused for now", mail, ["220 hi", "250-hi\r\n250 STARTTLS", "454 later"], "later: answered 454 later"],
    [
      "words put in between STARTTLS and TLS",
      mail,
      ["220 hi", "250-hi\r\n250 STARTTLS", "220 go\r\n250 AUTH PLAIN"],
      "never: the server spoke between STARTTLS and TLS",
    ],
    [
      "a password without TLS",
      { ...mail, security: "none" },
      ["220 hi", EHLO],
      "never: a password is not sent without TLS",
    ],
    [
      "no way to log in",
      tls,
      ["220 hi", "250-hi\r\n250 AUTH CRAM-MD5"],
      "never: the server offers neither AUTH PLAIN nor AUTH LOGIN",
    ],
    ["a wrong password", tls, ["220 hi", EHLO, "535 5.7.8 no"], "never: answered 535 5.7.8 no"],
    ["the sender is refused", tls, ["220 hi", EHLO, "235 ok", "553 not you"], "never: answered 553 not you"],
    ["no reader is known", tls, ["220 hi", EHLO, "235 ok", OK, "550 who?", "550 who?"], "never: answered 550 who?"],
    [
      "one reader may be known later",
      tls,
      ["220 hi", EHLO, "235 ok", OK, "450 greylisted", "550 who?"],
      "later: answered 450 greylisted",
    ],
    ["no DATA", tls, ["220 hi", EHLO, "235 ok", OK, OK, OK, "451 disk"], "later: answered 451 disk"],
    [
      "taken for spam",
      tls,
      ["220 hi", EHLO, "235 ok", OK, OK, OK, "354 go", "554-5.7.1 spam\r\n554 5.7.1 really"],
      "never: answered 554 5.7.1 spam 5.7.1 really",
    ],
    ["hangs up", tls, ["220 hi", "hangs up"], "later: the server hung up"],
    ["not SMTP", tls, ["HTTP/1.1 400 Bad Request"], "later: the server's reply cannot be read"],
    ["an endless reply", tls, [`220-${"x".repeat(MAX_REPLY_CHARS)}`], "later: the server's reply cannot be read"],
  ] as const)("%s", (_, submission, lines, end) => {
    const log = converse(submission, lines);
    expect(log.at(-1)).toBe(end);
    if (submission.security !== "tls") expect(log.join()).not.toContain("AUTH PLAIN");
  });

  test("for one reader reaches the others", () => {
    const log = converse(tls, ["220 hi", EHLO, "235 ok", OK, "550 who?", OK, "354 go", OK]);
    expect(log.at(-1)).toBe("done; ops@example.com: 550 who?");
  });

  test("says nothing more", () => {
    expect(converse(tls, ["554 no", "220 hi", OK, "hangs up"])).toEqual(["never: answered 554 no"]);
  });
});

describe("nothing can be smuggled in", () => {
  test.each([
    "ops@example.com\r\nRCPT TO:<evil@example.com>",
    "ops@example.com>\r\nDATA",
    "ops@example.com\nX",
    "<ops@example.com>",
    "ops @example.com",
    "ops@example.com,evil@example.com",
    '"a b"@example.com',
    "ops@exa mple.com",
    "öps@example.com",
    "nobody",
    "",
    `${"x".repeat(250)}@example.com`,
  ])("by the address %j", (address) => {
    expect(isMailAddress(address)).toBe(false);
    expect(() => new SmtpConversation({ ...mail, to: [address] })).toThrow(RangeError);
    expect(() => new SmtpConversation({ ...mail, from: address })).toThrow(RangeError);
  });

  test("by a message: no line of it ends the mail, and a receiver gets it back", () => {
    const unit = fc.constantFrom(".", "\r", "\n", "\r\n", "a", "é");
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 60 }), (message) => {
        const sent = stuffed(message);
        const lines = sent.split("\r\n");
        expect(lines.join("")).not.toMatch(/[\r\n]/);
        expect(lines).not.toContain(".");
        const received = lines.map((line) => (line.startsWith(".") ? line.slice(1) : line)).join("\n");
        expect(received).toBe(message.replaceAll(/\r\n|\r/g, "\n"));
      }),
    );
  });
});

test("base64 is that of Node", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(base64(text)).toBe(Buffer.from(new TextEncoder().encode(text)).toString("base64"));
    }),
  );
});
