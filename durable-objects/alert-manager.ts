import { DurableObject } from "cloudflare:workers";

export class AlertManager extends DurableObject<Env> {}
