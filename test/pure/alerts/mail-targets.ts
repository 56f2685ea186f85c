import { emailTarget } from "../../../core/alerts/channels/email.ts";
import type { SmtpTarget } from "../../../core/alerts/channels/email.ts";

/** The target of a configuration that names a mail server. */
export function smtpTarget(...[config, dashboard]: Parameters<typeof emailTarget>): SmtpTarget {
  const target = emailTarget(config, dashboard);
  if (target.transport === "binding") throw new Error("no mail server");
  return target;
}
