import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { createServer as createTlsServer, TLSSocket } from "node:tls";
import { CERTIFICATE, KEY } from "./mail-certificate.ts";

const LOGIN = `AUTH PLAIN ${Buffer.from("\0flow\0sesame-sesame").toString("base64")}`;

/** A mail as it was handed over. */
export interface TakenMail {
  from: string;
  to: string[];
  text: string;
  /** Whether it came over TLS. */
  readonly isSecure: boolean;
}

/**
 * A mail server over real TCP that checks the order of commands and keeps what it was handed. Protected ones want the user
 * `flow` with the password `sesame-sesame`, and only under TLS.
 */
export class MailServer {
  readonly mails: TakenMail[] = [];
  /** Sent instead of the next `250` to MAIL. */
  refusal: string | null = null;
  readonly #security: "tls" | "starttls" | "none";
  readonly #server: Server;

  constructor(security: "tls" | "starttls" | "none") {
    this.#security = security;
    const greet = (socket: Socket): void => {
      socket.write("220 mail.test ESMTP\r\n");
      this.#serve(socket, security === "tls");
    };
    this.#server = security === "tls" ? createTlsServer({ cert: CERTIFICATE, key: KEY }, greet) : createServer(greet);
    this.#server.on("tlsClientError", () => {});
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, resolve));
    const address: AddressInfo | string | null = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return address.port;
  }

  close(): void {
    this.#server.close();
  }

  #serve(socket: Socket, isSecure: boolean): void {
    let unread = "";
    socket.on("error", () => {});
    const answer = this.#session(isSecure);
    const take = (bytes: Buffer): void => {
      unread += bytes.toString("latin1");
      for (let end = unread.indexOf("\r\n"); end !== -1; end = unread.indexOf("\r\n")) {
        const line = unread.slice(0, end);
        unread = unread.slice(end + 2);
        const reply = answer(line);
        if (reply !== null) socket.write(`${reply}\r\n`);
        if (line === "STARTTLS" && this.#security === "starttls") {
          socket.off("data", take);
          this.#serve(new TLSSocket(socket, { isServer: true, cert: CERTIFICATE, key: KEY }), true);
          return;
        }
      }
    };
    socket.on("data", take);
  }

  /** What the server answers to one line after the other. */
  #session(isSecure: boolean): (line: string) => string | null {
    let isBody = false;
    let isKnown = this.#security === "none";
    let mail: TakenMail = { from: "", to: [], text: "", isSecure };
    return (line) => {
      if (isBody) {
        isBody = line !== ".";
        if (isBody) mail.text += `${line.replace(/^\./, "")}\r\n`;
        if (isBody) return null;
        this.mails.push(mail);
        mail = { from: "", to: [], text: "", isSecure };
        return "250 queued";
      }
      if (line.startsWith("EHLO ")) return `250-mail.test\r\n250 ${isSecure ? "AUTH PLAIN LOGIN" : "STARTTLS"}`;
      if (line === "STARTTLS" && !isSecure) return "220 go ahead";
      if (line === LOGIN && isSecure) isKnown = true;
      if (line.startsWith("AUTH ")) return isKnown ? "235 welcome" : "535 5.7.8 no";
      if (line === "QUIT") return "221 bye";
      if (!isKnown) return "530 5.7.0 log in first";
      if (line.startsWith("MAIL FROM:")) {
        const { refusal } = this;
        this.refusal = null;
        if (refusal !== null) return refusal;
        mail.from = line.slice(10);
        return "250 ok";
      }
      if (line.startsWith("RCPT TO:") && mail.from !== "") {
        mail.to.push(line.slice(8));
        return "250 ok";
      }
      isBody = line === "DATA" && mail.to.length > 0;
      return isBody ? "354 go ahead" : "503 out of order";
    };
  }
}
