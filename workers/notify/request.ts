import { addressOf } from "../../core/alerts/channel.ts";
import type { ChannelTarget } from "../../core/alerts/channel.ts";
import type { EmailTarget } from "../../core/alerts/channels/email.ts";
import { renderPagerDuty } from "../../core/alerts/channels/pagerduty.ts";
import { renderPush } from "../../core/alerts/channels/push.ts";
import type { PushTarget } from "../../core/alerts/channels/push.ts";
import type { ChannelRequest } from "../../core/alerts/channels/request.ts";
import { renderSlack } from "../../core/alerts/channels/slack.ts";
import { renderSms } from "../../core/alerts/channels/sms.ts";
import { readNotification } from "../../core/alerts/notification.ts";
import { encryptPush } from "./push-encryption.ts";
import { signedHeaders } from "./sign.ts";
import type { ChannelMessage } from "./sign.ts";
import { vapidAuthorization } from "./vapid.ts";

/** All but mail is posted. */
export type HttpTarget = Exclude<ChannelTarget, EmailTarget>;

/** The request that tells a channel of a message. @param nowMs epoch ms, for signatures */
export async function requestOf(target: HttpTarget, message: ChannelMessage, nowMs: number): Promise<ChannelRequest> {
  switch (target.type) {
    case "webhook":
      return { url: target.url, headers: await signedHeaders(target.secret, message, nowMs), body: message.body };
    case "slack":
      return renderSlack(target, readNotification(message.body));
    case "pagerduty":
      return renderPagerDuty(target, readNotification(message.body));
    case "sms":
      return renderSms(target, readNotification(message.body));
    case "push":
      return await pushRequest(target, message, nowMs);
  }
}

async function pushRequest(target: PushTarget, { body }: ChannelMessage, nowMs: number): Promise<ChannelRequest> {
  const { headers, payload } = renderPush(target, readNotification(body));
  return {
    url: addressOf(target),
    headers: {
      ...headers,
      "content-type": "application/octet-stream",
      "content-encoding": "aes128gcm",
      authorization: await vapidAuthorization(target, nowMs),
    },
    body: await encryptPush(new TextEncoder().encode(payload), target),
  };
}
