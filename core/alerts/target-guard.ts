// Which URLs the platform will post to on a tenant's word.
//
// Problem: a webhook URL is chosen by a user but called from inside our network (server-side request forgery).
// Rule: only public HTTPS names on the standard port. The URL must have been parsed once by the WHATWG parser, which
// writes every form of an IPv4 address (decimal, octal, hex, short) in dotted form; the parsed URL is the one to fetch.
// A name may still resolve to a private address: Workers cannot pin an address, so the Worker must also run with
// Cloudflare's public-only fetch. Redirects are never followed, which would undo all of this.
// See OWASP ASVS 5.0.0, 1.3.6 and 15.3.2.

/** The parts of a parsed URL that are judged; a `URL` has them. */
export interface TargetParts {
  readonly protocol: string;
  readonly username: string;
  readonly password: string;
  /** Lower case, without port; an IPv6 address in brackets. */
  readonly hostname: string;
  /** Empty when it is the protocol's own. */
  readonly port: string;
}

/** Names that never lead out of a network. */
const PRIVATE_SUFFIXES: ReadonlySet<string> = new Set([
  "localhost",
  "local",
  "localdomain",
  "internal",
  "intranet",
  "private",
  "corp",
  "home",
  "lan",
  "arpa",
]);

const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;

/**
 * Judges a webhook's target.
 * @param allowPrivate true only in local mode and when the channel asks for it: then any http(s) address will do
 * @returns why it must not be called, or null when it may be
 */
export function judgeTarget(target: TargetParts, allowPrivate: boolean): string | null {
  if (target.username !== "" || target.password !== "") return "must not contain a user name or password";
  if (allowPrivate) return /^https?:$/.test(target.protocol) ? null : "must be http or https";
  if (target.protocol !== "https:") return "must be https";
  if (target.port !== "") return "must use port 443";
  return judgeHost(target.hostname.replace(/\.$/, ""));
}

/**
 * Whether a host is on the operator's list, itself or by a name that it lies under.
 * @param list host names with white space or commas between; an empty one allows every host
 */
export function isListed(host: string, list: string): boolean {
  const names = list.split(/[\s,]+/).filter((name) => name !== "");
  const plain = host.replace(/\.$/, "");
  return names.length === 0 || names.some((name) => plain === name || plain.endsWith(`.${name}`));
}

function judgeHost(host: string): string | null {
  if (host.startsWith("[") || IPV4.test(host)) return "must be a host name, not an IP address";
  const labels = host.split(".");
  if (labels.length < 2 || labels.includes("")) return "must be a full host name such as hooks.example.com";
  const last = labels.at(-1) ?? "";
  if (PRIVATE_SUFFIXES.has(last)) return `must be a public host name, not one under .${last}`;
  return null;
}
