/** The log formats of Apache and nginx that `ship` reads. `common` is `combined` without referrer and user agent. */
export type AccessLogFormat = "combined" | "common";

/** One request, as a log line tells it. Texts are as logged, escapes included. */
export interface WebRequest {
  /** Epoch ms. */
  readonly timestamp: number;
  readonly data: {
    readonly client_ip: string;
    /** Null when the request line is no HTTP request, e.g. `-` or a TLS handshake; the whole text is then in `path`. */
    readonly method: string | null;
    readonly path: string;
    /** Null for HTTP/0.9, which names none. */
    readonly protocol: string | null;
    readonly status: number;
    /** 0 when logged as `-`. */
    readonly bytes: number;
    readonly referrer?: string;
    readonly user_agent?: string;
  };
  readonly severity: "low" | "medium" | "high";
}

// A quoted field: anything but a bare quote or backslash, or a backslash with what it escapes. The two alternatives
// begin with different characters, so a long line without a closing quote fails in linear time.
const QUOTED = String.raw`"((?:[^"\\]|\\.)*)"`;
const COMMON = String.raw`(\S+) \S+ (?:\S+|"[^"]*") \[([^\]]+)\] ${QUOTED} (\d{3}) (\d+|-)`;
const PATTERNS: Readonly<Record<AccessLogFormat, RegExp>> = {
  common: new RegExp(`^${COMMON}\\s*$`),
  combined: new RegExp(`^${COMMON} ${QUOTED} ${QUOTED}\\s*$`),
};

/** Reads one line, without its end-of-line. @returns null when it is not in the format */
export function parseAccessLine(line: string, format: AccessLogFormat): WebRequest | null {
  const [, clientIp, time, requestLine, statusText, bytesText, referrer, userAgent] = PATTERNS[format].exec(line) ?? [];
  if (clientIp === undefined || time === undefined || requestLine === undefined) return null;
  const timestamp = parseLogTime(time);
  if (timestamp === null) return null;
  const status = Number(statusText);
  return {
    timestamp,
    data: {
      client_ip: clientIp,
      ...splitRequestLine(requestLine),
      status,
      bytes: bytesText === "-" ? 0 : Number(bytesText),
      ...(referrer === undefined ? {} : { referrer }),
      ...(userAgent === undefined ? {} : { user_agent: userAgent }),
    },
    severity: status >= 500 ? "high" : status >= 400 ? "medium" : "low",
  };
}

function splitRequestLine(text: string): { method: string | null; path: string; protocol: string | null } {
  const [, method, path, protocol] = /^([A-Za-z]+) (\S.*?)(?: (HTTP\/[\d.]+))?$/.exec(text) ?? [];
  if (method === undefined || path === undefined) return { method: null, path: text, protocol: null };
  return { method, path, protocol: protocol ?? null };
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const LOG_TIME = /^(\d{2})\/([A-Z][a-z]{2})\/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})$/;

/** `17/May/2015:10:05:03 +0000` as epoch ms; null when there is no such moment. */
export function parseLogTime(text: string): number | null {
  const [, day, monthName = "", year, hour, minute, second, sign, zoneHours, zoneMinutes] = LOG_TIME.exec(text) ?? [];
  const month = MONTHS.indexOf(monthName);
  if (day === undefined || month < 0) return null;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60 || Number(zoneMinutes) > 59) return null;
  const local = Date.UTC(Number(year), month, Number(day), Number(hour), Number(minute), Number(second));
  if (Number(day) === 0 || Number(day) > daysIn(Number(year), month)) return null;
  const zoneMs = (Number(zoneHours) * 60 + Number(zoneMinutes)) * 60_000;
  return sign === "-" ? local + zoneMs : local - zoneMs;
}

function daysIn(year: number, month: number): number {
  return new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
}
