export { createClient } from "./client.ts";
export type { Client } from "./client.ts";
export type { Ledger } from "./custody.ts";
export type { EventInput, Json } from "./event.ts";
export type { ClientOptions, Clock, LostEvent, Overflow, Trouble } from "./options.ts";
export { localStorageStore } from "./stores.ts";
export type { KeyValueStore } from "./stores.ts";
