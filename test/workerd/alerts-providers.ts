import { vi } from "vitest";
import type { AlertTenant } from "./alerts-bench.ts";
import { call } from "./http-client.ts";

const ACCOUNT = "ACfedcba98765432100123456789abcdef";
const AUTH_TOKEN = "token-0123456789abcdef0123456789";
const TO = "+442071838750";

/** What a provider was sent, once it was found to be in the documented format. */
export interface Sent {
  readonly host: string;
  readonly said: Record<string, unknown>;
}

/** An answer instead of the provider's own; it may never come. */
export type Fault = (nth: number) => Response | Promise<Response> | null;

/** A provider that takes what its documentation allows and refuses all else, as Slack, PagerDuty and Twilio do. */
export class Provider {
  readonly sent: Sent[] = [];
  readonly refused: string[] = [];
  calls = 0;
  readonly #key: string;

  /** @param key a text that only this channel's requests hold; others go to whoever stood there before */
  constructor(key: string, fault: Fault = () => null) {
    this.#key = key;
    const before = vi.mocked(fetch).getMockImplementation();
    vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
      const request = new Request(input, init);
      const text = new TextDecoder().decode(await request.clone().arrayBuffer());
      if (!`${request.url} ${text}`.includes(this.#key)) return (await before?.(request)) ?? new Response("ok");
      const answer = fault(this.calls++);
      if (answer !== null) return await answer;
      return this.#take(request, text);
    });
  }

  #take(request: Request, text: string): Response {
    const { host, pathname } = new URL(request.url);
    const [problem, said, answer] = judge(host, pathname, request, text);
    if (problem !== null) {
      this.refused.push(problem);
      return new Response(problem, { status: 400 });
    }
    this.sent.push({ host, said });
    return answer;
  }
}

type Verdict = readonly [problem: string | null, said: Record<string, unknown>, answer: Response];

function judge(host: string, path: string, request: Request, text: string): Verdict {
  if (request.method !== "POST") return ["method", {}, new Response()];
  switch (host) {
    case "hooks.slack.com":
      return judgeSlack(request, text);
    case "events.pagerduty.com":
      return judgePagerDuty(path, request, text);
    case "api.twilio.com":
      return judgeTwilio(path, request, text);
    default:
      return [`no provider at ${host}`, {}, new Response()];
  }
}

function judgeSlack(request: Request, text: string): Verdict {
  const said = JSON.parse(text);
  const done = new Response("ok");
  if (!isJson(request)) return ["invalid_payload", said, done];
  if (typeof said.text !== "string" || said.text === "") return ["no_text", said, done];
  if ((said.blocks ?? []).length > 50) return ["invalid_blocks", said, done];
  const isValid = (said.blocks ?? []).every(isSlackBlock);
  return [isValid ? null : "invalid_blocks", said, done];
}

/** Limits of https://docs.slack.dev/reference/block-kit/blocks: longer texts and more fields are refused. */
function isSlackBlock({ type, text, fields, elements }: SlackBlock): boolean {
  switch (type) {
    case "header":
      return text?.type === "plain_text" && hasLength(text, 150);
    case "section": {
      const isText = text !== undefined && ["plain_text", "mrkdwn"].includes(text.type) && hasLength(text, 3_000);
      const isFields = fields !== undefined && fields.length <= 10 && fields.every((field) => hasLength(field, 2_000));
      return text === undefined ? isFields && fields.length > 0 : isText && (fields === undefined || isFields);
    }
    case "context":
      return elements !== undefined && elements.length > 0 && elements.length <= 10;
    default:
      return false;
  }
}

interface SlackText {
  readonly type: string;
  readonly text: string;
}
interface SlackBlock {
  readonly type: string;
  readonly text?: SlackText;
  readonly fields?: readonly SlackText[];
  readonly elements?: readonly SlackText[];
}

function hasLength({ text }: SlackText, max: number): boolean {
  return text.length >= 1 && text.length <= max;
}

function judgePagerDuty(path: string, request: Request, text: string): Verdict {
  const said = JSON.parse(text);
  const { dedup_key: key, event_action: action, payload } = said;
  const done = Response.json({ status: "success", message: "Event processed", dedup_key: key }, { status: 202 });
  if (path !== "/v2/enqueue" || !isJson(request)) return ["not found", said, done];
  if (said.routing_key?.length !== 32) return [`Length of 'routing_key' is incorrect: ${text}`, said, done];
  if (typeof key !== "string" || key === "" || key.length > 255) return ["dedup_key", said, done];
  if (!["trigger", "acknowledge", "resolve"].includes(action)) return ["event_action", said, done];
  if (action !== "trigger") return [null, said, done];
  const isWhole = [payload?.summary, payload?.source].every((part) => typeof part === "string" && part !== "");
  if (!isWhole || payload.summary.length > 1_024) return ["payload", said, done];
  if (!["info", "warning", "error", "critical"].includes(payload.severity)) return ["severity", said, done];
  return [null, said, done];
}

function judgeTwilio(path: string, request: Request, text: string): Verdict {
  const said = Object.fromEntries(new URLSearchParams(text));
  const done = Response.json({ sid: "SM1", status: "queued" }, { status: 201 });
  if (path !== `/2010-04-01/Accounts/${ACCOUNT}/Messages.json`) return ["20404", said, done];
  if (request.headers.get("Authorization") !== `Basic ${btoa(`${ACCOUNT}:${AUTH_TOKEN}`)}`)
    return ["20003", said, done];
  if (request.headers.get("Content-Type") !== "application/x-www-form-urlencoded") return ["form", said, done];
  if (said["To"] !== TO) return ["21211 Invalid 'To' Phone Number", said, done];
  if (said["From"] === undefined && said["MessagingServiceSid"] === undefined) return ["21603", said, done];
  if (said["Body"] === undefined || said["Body"] === "" || said["Body"].length > 1_600) return ["21602", said, done];
  return [null, said, done];
}

function isJson(request: Request): boolean {
  return request.headers.get("Content-Type")?.startsWith("application/json") === true;
}

/** The kinds that have a provider of their own. */
export type ProviderKind = "slack" | "pagerduty" | "sms";

/** A channel of a kind, and the text by which its requests are known. `secrets` must never be seen again. */
export async function addChannel(
  { key, tenant }: AlertTenant,
  kind: ProviderKind,
): Promise<{ id: string; mark: string; secrets: string[]; made: string }> {
  const slackPath = `T00000000/B00000000/${tenant}-xxxxxxxxxxxxxxxx`;
  const routingKey = tenant.replaceAll(/[^0-9a-zA-Z]/g, "").padEnd(32, "0");
  const account = ACCOUNT;
  const kinds = {
    slack: { config: { url: `https://hooks.slack.com/services/${slackPath}` }, mark: slackPath, secrets: [slackPath] },
    pagerduty: { config: { routing_key: routingKey }, mark: routingKey, secrets: [routingKey] },
    // The sender tells tenants apart: at most 11 letters and digits.
    sms: {
      config: { account_sid: account, auth_token: AUTH_TOKEN, from: senderOf(tenant), to: TO },
      mark: senderOf(tenant),
      secrets: [AUTH_TOKEN, btoa(`${ACCOUNT}:${AUTH_TOKEN}`)],
    },
  };
  const { config, mark, secrets } = kinds[kind];
  const answer = await call("POST", "/api/v1/channels", { key, json: { name: `our ${kind}`, type: kind, config } });
  if (answer.status !== 201) throw new Error(answer.text);
  return { id: String(answer.data["id"]), mark, secrets, made: answer.text };
}

function senderOf(tenant: string): string {
  return `T${tenant.replaceAll(/[^0-9a-zA-Z]/g, "").slice(-9)}`;
}
