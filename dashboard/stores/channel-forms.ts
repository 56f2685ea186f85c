/** One field of a channel's form. `name` is its path in `config`. */
export interface ChannelField {
  readonly name: string;
  readonly label: string;
  readonly hint?: string;
  readonly type?: "text" | "password" | "url" | "number";
  readonly required?: boolean;
}

/** What each kind of channel asks for. Push has no form: the browser itself is the address. */
export const CHANNEL_FORMS: Readonly<
  Record<string, { readonly title: string; readonly fields: readonly ChannelField[] }>
> = {
  webhook: {
    title: "Webhook",
    fields: [
      { name: "url", label: "URL", type: "url", required: true, hint: "gets a signed POST (Standard Webhooks)" },
      { name: "secret", label: "Signing secret", type: "password", hint: "whsec_…; empty: one is made and shown once" },
    ],
  },
  slack: {
    title: "Slack",
    fields: [
      {
        name: "url",
        label: "Incoming webhook URL",
        type: "password",
        required: true,
        hint: "https://hooks.slack.com/services/…",
      },
    ],
  },
  email: {
    title: "Email (SMTP)",
    fields: [
      { name: "to", label: "To", required: true },
      { name: "from", label: "From", required: true },
      { name: "host", label: "Mail server", required: true },
      { name: "port", label: "Port", type: "number", hint: "465 with TLS, 587 with STARTTLS; empty: 465" },
      { name: "username", label: "User name" },
      { name: "password", label: "Password", type: "password" },
    ],
  },
  pagerduty: {
    title: "PagerDuty",
    fields: [
      {
        name: "routing_key",
        label: "Integration key",
        type: "password",
        required: true,
        hint: "of an Events API v2 integration",
      },
    ],
  },
  sms: {
    title: "SMS (Twilio)",
    fields: [
      { name: "account_sid", label: "Account SID", required: true },
      { name: "auth_token", label: "Auth token", type: "password", required: true },
      { name: "from", label: "From", required: true, hint: "a number, a short code or a name" },
      { name: "to", label: "To", required: true, hint: "like +14155552671" },
    ],
  },
};

/** The body of `POST /api/v1/channels`; empty fields are left out. */
export function channelBody(type: string, name: string, values: Readonly<Record<string, string>>): unknown {
  const form = CHANNEL_FORMS[type];
  const config = (form?.fields ?? []).flatMap(({ name: field, type: kind }) => {
    const written = values[field]?.trim() ?? "";
    if (written === "") return [];
    return [[field, kind === "number" && !Number.isNaN(Number(written)) ? Number(written) : written]];
  });
  return { name, type, config: Object.fromEntries(config) };
}
