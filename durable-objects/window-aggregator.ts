import { DurableObject } from "cloudflare:workers";

export class WindowAggregator extends DurableObject<Env> {}
