import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { Webhook } from "standardwebhooks";

export const WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/** A notification as it came over real HTTP, its signature checked by the `standardwebhooks` package. */
export interface ReceivedWebhook {
  /** The `webhook-id`. */
  readonly id: string;
  /** `performance.now()` when its last byte was in. */
  readonly at: number;
  readonly type: string;
  readonly alert: { readonly id: string; readonly status: string };
  readonly group: Readonly<Record<string, unknown>>;
  readonly values: Readonly<Record<string, unknown>>;
  readonly window: { readonly start: string; readonly end: string };
}

/** A webhook receiver of its own, which drops nothing. */
export class WebhookReceiver {
  readonly received: ReceivedWebhook[] = [];
  /** Requests whose signature was wrong or that could not be read. */
  readonly bad: string[] = [];
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      take(request, this).then(
        () => answer(response, 200),
        (error: unknown) => {
          this.bad.push(String(error));
          answer(response, 400);
        },
      );
    });
  }

  /** @param port 0 for any free one @returns the address to give to a channel */
  async listen(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return `http://127.0.0.1:${address.port}/hook`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

async function take(request: IncomingMessage, { received }: WebhookReceiver): Promise<void> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += String(chunk);
  const at = performance.now();
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
  new Webhook(WEBHOOK_SECRET).verify(text, headers);
  const { type, data } = JSON.parse(text);
  const { alert, group, values, window } = data;
  received.push({ id: headers["webhook-id"] ?? "", at, type, alert, group, values, window });
}

function answer(response: ServerResponse, status: number): void {
  response.writeHead(status).end();
}
