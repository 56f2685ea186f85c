import { SMTPServer } from "smtp-server";
import type { SMTPServerSession } from "smtp-server";
import { CERTIFICATE, KEY } from "./mail-certificate.ts";

/** A mail as it was handed over. */
export interface TakenMail {
  readonly from: string;
  readonly to: readonly string[];
  /** Headers and body as sent. */
  readonly text: string;
  /** Whether it came over TLS. */
  readonly isSecure: boolean;
}

/** What a mail server answers instead of "250" to MAIL. */
export interface Refusal {
  readonly code: number;
  readonly text: string;
}

/**
 * The `smtp-server` package over real TCP, keeping what it was handed. Protected ones want the user `flow` with the password
 * `sesame-sesame`, and only under TLS.
 */
export class MailServer {
  readonly mails: TakenMail[] = [];
  /** Told to the next who wants to send. */
  refusal: Refusal | null = null;
  /** Readers that do not exist. */
  readonly unknown = new Set<string>();
  readonly #server: SMTPServer;

  /** @param logins ways to log in that the server offers */
  constructor(security: "tls" | "starttls" | "none", logins: readonly string[] = ["PLAIN", "LOGIN"]) {
    const isOpen = security === "none";
    this.#server = new SMTPServer({
      secure: security === "tls",
      key: KEY,
      cert: CERTIFICATE,
      authMethods: [...logins],
      authOptional: isOpen,
      disabledCommands: isOpen ? ["STARTTLS", "AUTH"] : [],
      onAuth: ({ username, password }, { secure }, done) => {
        if (secure && username === "flow" && password === "sesame-sesame") done(null, { user: username });
        else done(new Error("no"));
      },
      onMailFrom: (_, __, done) => {
        const { refusal } = this;
        this.refusal = null;
        if (refusal === null) done();
        else done(Object.assign(new Error(refusal.text), { responseCode: refusal.code }));
      },
      onRcptTo: ({ address }, _, done) => {
        if (this.unknown.has(address)) done(Object.assign(new Error("who?"), { responseCode: 550 }));
        else done();
      },
      onData: (stream, session, done) => {
        const chunks: Buffer[] = [];
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.on("end", () => {
          this.mails.push(takenMail(session, Buffer.concat(chunks).toString("latin1")));
          done();
        });
      },
    });
    // A client that does not believe the certificate hangs up, which is its right.
    this.#server.on("error", () => {});
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, resolve));
    const address = this.#server.server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return address.port;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(resolve));
  }
}

function takenMail({ envelope, secure }: SMTPServerSession, text: string): TakenMail {
  const from = envelope.mailFrom === false ? "" : envelope.mailFrom.address;
  return { from, to: envelope.rcptTo.map(({ address }) => address), text, isSecure: secure };
}
