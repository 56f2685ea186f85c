import { describe, expect, test } from "vitest";
import { emailConfig, emailTarget } from "../../core/alerts/channels/email.ts";
import { testBody } from "../../core/alerts/notification.ts";
import { sendBoundMail } from "../../workers/notify/bound-mail.ts";

const config = { transport: "binding", from: "flow@example.com", to: ["ops@example.com", "boss@example.com"] };
const target = emailTarget(emailConfig.parse(config), "https://flow.example.com");
const message = { id: "msg_1", body: testBody({ id: "c", name: "ops" }, Date.UTC(2026, 10, 22)) };

/** The platform's binding, which does as it is told and remembers what it was given. */
function binding(answer: () => Promise<EmailSendResult>): { readonly email: SendEmail; readonly taken: unknown[] } {
  const taken: unknown[] = [];
  const send = async (mail: unknown): Promise<EmailSendResult> => {
    taken.push(mail);
    return await answer();
  };
  return { email: { send }, taken };
}

async function send(email: SendEmail) {
  if (target.transport !== "binding") throw new Error("not the binding's");
  return await sendBoundMail(target, message, email);
}

function failed(code: string, text: string): () => Promise<never> {
  return () => Promise.reject(Object.assign(new Error(text), { code }));
}

describe("a mail by the platform's binding", () => {
  test("has a sender, its readers, a subject and plain text, and headers that the platform allows", async () => {
    const { email, taken } = binding(async () => ({ messageId: "m" }));
    expect(await send(email)).toEqual({ attempted: { kind: "answered", status: 250, retryAfter: null }, error: null });
    expect(taken).toEqual([
      {
        from: { name: "StreamFlow", email: "flow@example.com" },
        to: ["ops@example.com", "boss@example.com"],
        subject: "Test: ops",
        text: expect.stringContaining("this channel works"),
        headers: {
          References: "<msg_1@example.com>",
          "Auto-Submitted": "auto-generated",
          "X-Entity-Ref-ID": "msg_1",
        },
      },
    ]);
  });

  test.each([
    ["E_SENDER_NOT_VERIFIED", "the sender is not verified", "refused"],
    ["E_RECIPIENT_NOT_ALLOWED", "not in the list", "refused"],
    ["E_RECIPIENT_SUPPRESSED", "bounced before", "refused"],
    ["E_RATE_LIMIT_EXCEEDED", "too many", "unanswered"],
    ["E_INTERNAL_SERVER_ERROR", "try again", "unanswered"],
  ])("that ends with %s (%s) is %s", async (code, text, kind) => {
    const error = `${code}: ${text}`;
    expect(await send(binding(failed(code, text)).email)).toEqual({ attempted: { kind, error }, error });
  });

  test("that was refused without a code is told by its words", async () => {
    const { email } = binding(() => Promise.reject(new Error("email to ops@example.com not allowed")));
    expect(await send(email)).toMatchObject({ attempted: { kind: "refused" } });
  });
});
