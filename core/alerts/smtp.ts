// The client's half of an SMTP submission, as a machine: it is told what the server says and answers what to do next.
//
// Greeting, EHLO, STARTTLS where it is asked for, EHLO again, AUTH, MAIL, RCPT for each reader, DATA, QUIT. A password is
// never sent in the clear, and nothing the server said before TLS is believed after it.
// See RFC 5321 (SMTP), RFC 3207 (STARTTLS), RFC 4954 and RFC 4616 (AUTH PLAIN).
import { base64 } from "./base64.ts";

/** How a connection is protected: TLS from the start, upgraded, or (local mode only) not at all. */
export type MailSecurity = "tls" | "starttls" | "none";

/** One mail and who takes it. Addresses without angle brackets. */
export interface Submission {
  readonly security: MailSecurity;
  /** Null when the server asks for none. */
  readonly login: { readonly username: string; readonly password: string } | null;
  /** The name the client gives itself: a host name. */
  readonly clientName: string;
  readonly from: string;
  readonly to: readonly string[];
  /** Headers and body, lines ended by CRLF, not yet dot-stuffed. */
  readonly message: string;
}

/** What to do next on the connection. */
export type SmtpAction =
  | { readonly do: "write"; readonly text: string }
  /** Upgrade the connection, then call `secured`. */
  | { readonly do: "start_tls" }
  /** Taken by the server; `refused` lists readers it does not know. Then say QUIT and hang up. */
  | { readonly do: "done"; readonly refused: readonly string[] }
  /** `isTransient`: another attempt may succeed. */
  | { readonly do: "fail"; readonly isTransient: boolean; readonly reason: string };

/** A reply may not be longer: a server that never ends its reply must not fill our memory. */
export const MAX_REPLY_CHARS = 16_384;
/** Characters of a refusal that are kept for people. */
const MAX_SHOWN_CHARS = 200;

type State =
  | "greeting"
  | "ehlo"
  | "starttls"
  | "tls"
  | "plain"
  | "login"
  | "user"
  | "password"
  | "mail"
  | "rcpt"
  | "data"
  | "body"
  | "over";

interface Reply {
  readonly code: number;
  readonly lines: readonly string[];
}

const ADDRESS = /^[^\s<>"(),:;\\[\]@]+@[A-Za-z0-9.-]+$/;

/** Whether an address may be put into a command: ASCII, no white space, no brackets, nothing that ends a line. */
export function isMailAddress(text: string): boolean {
  return text.length <= 254 && ADDRESS.test(text) && /^[\x21-\x7e]+$/.test(text);
}

/** One submission. Feed it what the server says; do what it answers, in order. */
export class SmtpConversation {
  readonly #mail: Submission;
  #state: State = "greeting";
  #unread = "";
  #isSecure: boolean;
  #nextReader = 0;
  #accepted = 0;
  readonly #refused: string[] = [];
  #refusal: Reply | null = null;

  /** @throws RangeError for an address that could smuggle in a command */
  constructor(mail: Submission) {
    for (const address of [mail.from, ...mail.to]) {
      if (!isMailAddress(address)) throw new RangeError("not a mail address");
    }
    this.#mail = mail;
    this.#isSecure = mail.security === "tls";
  }

  /** Takes what the server has said since the last call. */
  receive(text: string): SmtpAction[] {
    this.#unread += text;
    const actions: SmtpAction[] = [];
    while (this.#state !== "over" && this.#state !== "tls") {
      const reply = this.#takeReply();
      if (reply === null) break;
      actions.push(
        reply === "unreadable" ? this.#fail(true, "the server's reply cannot be read") : this.#answer(reply),
      );
    }
    return actions;
  }

  /** The connection has been upgraded. */
  secured(): SmtpAction[] {
    this.#isSecure = true;
    return [this.#greet()];
  }

  /** The server hung up. */
  closed(): SmtpAction[] {
    return this.#state === "over" ? [] : [this.#fail(true, "the server hung up")];
  }

  #answer(reply: Reply): SmtpAction {
    switch (this.#state) {
      case "greeting":
        return reply.code === 220 ? this.#greet() : this.#failBy(reply);
      case "ehlo":
        return reply.code === 250 ? this.#afterEhlo(reply) : this.#failBy(reply);
      case "starttls":
        return this.#upgrade(reply);
      case "login":
        return this.#challenged(reply, "user", this.#mail.login?.username ?? "");
      case "user":
        return this.#challenged(reply, "password", this.#mail.login?.password ?? "");
      case "plain":
      case "password":
        return reply.code === 235 ? this.#say("mail", `MAIL FROM:<${this.#mail.from}>`) : this.#failBy(reply);
      case "mail":
        return reply.code === 250 ? this.#nextRcpt() : this.#failBy(reply);
      case "rcpt":
        return this.#afterRcpt(reply);
      case "data":
        return reply.code === 354 ? this.#say("body", `${stuffed(this.#mail.message)}\r\n.`) : this.#failBy(reply);
      case "body":
        return reply.code === 250 ? this.#end({ do: "done", refused: this.#refused }) : this.#failBy(reply);
      case "tls":
      case "over":
        return this.#fail(true, "the server spoke out of turn");
    }
  }

  #greet(): SmtpAction {
    return this.#say("ehlo", `EHLO ${this.#mail.clientName}`);
  }

  #afterEhlo({ lines }: Reply): SmtpAction {
    const offers = lines.slice(1).map((line) => line.toUpperCase());
    if (this.#mail.security === "starttls" && !this.#isSecure) {
      if (offers.includes("STARTTLS")) return this.#say("starttls", "STARTTLS");
      return this.#fail(false, "the server does not offer STARTTLS");
    }
    const { login } = this.#mail;
    if (login === null) return this.#say("mail", `MAIL FROM:<${this.#mail.from}>`);
    if (!this.#isSecure) return this.#fail(false, "a password is not sent without TLS");
    const ways = new Set(offers.filter((line) => /^AUTH[ =]/.test(line)).flatMap((line) => line.slice(5).split(" ")));
    if (ways.has("PLAIN")) {
      return this.#say("plain", `AUTH PLAIN ${base64(`\0${login.username}\0${login.password}`)}`);
    }
    if (ways.has("LOGIN")) return this.#say("login", "AUTH LOGIN");
    return this.#fail(false, "the server offers neither AUTH PLAIN nor AUTH LOGIN");
  }

  #upgrade(reply: Reply): SmtpAction {
    if (reply.code !== 220) return this.#failBy(reply);
    // Whoever is in between may have said more than the server did, in the clear, for us to believe afterwards.
    if (this.#unread !== "") return this.#fail(false, "the server spoke between STARTTLS and TLS");
    this.#state = "tls";
    return { do: "start_tls" };
  }

  #challenged(reply: Reply, state: State, answer: string): SmtpAction {
    return reply.code === 334 ? this.#say(state, base64(answer)) : this.#failBy(reply);
  }

  #nextRcpt(): SmtpAction {
    const reader = this.#mail.to[this.#nextReader];
    if (reader !== undefined) return this.#say("rcpt", `RCPT TO:<${reader}>`);
    if (this.#accepted > 0 || this.#refusal === null) return this.#say("data", "DATA");
    return this.#failBy(this.#refusal);
  }

  #afterRcpt(reply: Reply): SmtpAction {
    if (reply.code === 250 || reply.code === 251) this.#accepted++;
    else {
      // One who does not exist must not keep the others from hearing of it.
      this.#refused.push(`${this.#mail.to[this.#nextReader] ?? ""}: ${shown(reply)}`);
      if (this.#refusal === null || isTransient(reply)) this.#refusal = reply;
    }
    this.#nextReader++;
    return this.#nextRcpt();
  }

  #say(state: State, line: string): SmtpAction {
    this.#state = state;
    return { do: "write", text: `${line}\r\n` };
  }

  #failBy(reply: Reply): SmtpAction {
    return this.#fail(isTransient(reply), `answered ${shown(reply)}`);
  }

  #fail(transient: boolean, reason: string): SmtpAction {
    return this.#end({ do: "fail", isTransient: transient, reason });
  }

  #end(action: SmtpAction): SmtpAction {
    this.#state = "over";
    return action;
  }

  /** The next whole reply, null when there is none yet. */
  #takeReply(): Reply | "unreadable" | null {
    const whole = /^(?:(\d{3})-[^\n]*\n)*?(\d{3})(?: [^\n]*)?\r?\n/.exec(this.#unread)?.[0];
    if (whole === undefined) {
      const isHopeless = this.#unread.length > MAX_REPLY_CHARS || /(?:^|\n)(?!\d{3}[- \r])[^\n]*\n/.test(this.#unread);
      return isHopeless ? "unreadable" : null;
    }
    this.#unread = this.#unread.slice(whole.length);
    const lines = whole.split(/\r?\n/).filter((line) => line !== "");
    return { code: Number(lines.at(-1)?.slice(0, 3)), lines: lines.map((line) => line.slice(4)) };
  }
}

/** 4xx is "not now"; an unexpected reply that is neither refusal is worth another try too. */
function isTransient({ code }: Reply): boolean {
  return code < 500;
}

function shown({ code, lines }: Reply): string {
  return `${code} ${lines.join(" ").replaceAll(/\p{Cc}/gu, " ")}`.trim().slice(0, MAX_SHOWN_CHARS);
}

/** Doubles the dot at the beginning of a line, which alone would end the mail (RFC 5321, 4.5.2), and ends every line by CRLF. */
export function stuffed(message: string): string {
  return message.replaceAll(/\r\n|\r|\n/g, "\r\n").replaceAll(/^\./gm, "..");
}
