import { DurableObject } from "cloudflare:workers";

export class LiveHub extends DurableObject<Env> {}
