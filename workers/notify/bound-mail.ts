// Mail by the platform's own binding, which needs no server and no password: the sender's domain must be set up for it.
// See https://developers.cloudflare.com/email-service/api/send-emails/workers-api/ and /reference/headers/.
import { mailOf } from "../../core/alerts/channels/email.ts";
import type { BindingTarget } from "../../core/alerts/channels/email.ts";
import type { Attempted } from "../../core/alerts/delivery.ts";
import { readNotification } from "../../core/alerts/notification.ts";
import type { ChannelMessage } from "./sign.ts";

/** The binding takes a mail and answers; one that does not is given up. */
const TIMEOUT_MS = 20_000;
/** What will not change by itself: the sender, a reader, the message or the account is not accepted. */
const FINAL =
  /E_(?:SENDER|RECIPIENT|VALIDATION|FIELD|HEADER|CONTENT|TOO_MANY|DELIVERY_REFUSED)|not (?:allowed|verified)|suppressed|invalid/i;

/** Hands a mail to the platform once. Never throws for what the platform answers. */
export async function sendBoundMail(
  target: BindingTarget,
  { id, body }: ChannelMessage,
  binding: SendEmail,
): Promise<{ readonly attempted: Attempted; readonly error: string | null }> {
  const { subject, text, thread } = mailOf(target, id, readNotification(body));
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no end within ${TIMEOUT_MS / 1000} s`)), TIMEOUT_MS);
  try {
    const sending = binding.send({
      from: { name: "StreamFlow", email: target.from },
      to: [...target.to],
      subject,
      text,
      // The Message-ID is the platform's; X-Entity-Ref-ID is the same in every attempt.
      headers: { References: `<${thread}>`, "Auto-Submitted": "auto-generated", "X-Entity-Ref-ID": id },
    });
    await Promise.race([sending, late.promise]);
    return { attempted: { kind: "answered", status: 250, retryAfter: null }, error: null };
  } catch (error) {
    const reason = describe(error);
    return { attempted: { kind: FINAL.test(reason) ? "refused" : "unanswered", error: reason }, error: reason };
  } finally {
    clearTimeout(timer);
  }
}

/** The platform's errors carry a code such as `E_SENDER_NOT_VERIFIED`. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return "the platform did not take it";
  const code = "code" in error && typeof error.code === "string" ? `${error.code}: ` : "";
  return `${code}${error.message}`;
}
