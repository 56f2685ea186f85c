import { DurableObject } from "cloudflare:workers";

export class RateController extends DurableObject<Env> {}
