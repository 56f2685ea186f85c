/**
 * Who is signed in. The key and the token made from it live in this module's memory and nowhere else:
 * not in storage, not in the URL, not in the page.
 */
import { computed, signal } from "@preact/signals";
import { fields, number, text } from "../live/decode.ts";
import { ApiFailure, askApi, type ApiRequest } from "./api.ts";

export type SessionState =
  | { readonly is: "signed_out"; readonly message: string | null }
  | { readonly is: "signing_in" }
  | { readonly is: "signed_in"; readonly tenant: string; readonly role: string };

/** A token this near its end is renewed before it is used. */
const RENEW_BEFORE_MS = 60_000;

let apiKey = "";
let token: Token = { text: "", endsAtMs: 0, tenant: "", role: "" };

interface Token {
  readonly text: string;
  readonly endsAtMs: number;
  readonly tenant: string;
  readonly role: string;
}

const state = signal<SessionState>({ is: "signed_out", message: null });

/** Who is signed in; changed by `signIn` and `signOut` alone. */
export const session = computed(() => state.value);

/** May the viewer change rules and alerts? The server decides; this only hides what would be refused. */
export const mayEdit = computed(() => state.value.is === "signed_in" && state.value.role !== "viewer");

/** May the viewer change keys and limits? */
export const mayAdminister = computed(() => state.value.is === "signed_in" && state.value.role === "admin");

/** As whom the page acts; keys carry no person's name. */
export const who = computed(() => (state.value.is === "signed_in" ? `dashboard (${state.value.role})` : "dashboard"));

/** Exchange a key for a token. The outcome is the session's state. */
export async function signIn(key: string): Promise<void> {
  state.value = { is: "signing_in" };
  apiKey = key.trim();
  try {
    await renewToken();
    if (token.role === "ingest") return signOut("This key may only send events. Use a viewer, editor or admin key.");
    state.value = { is: "signed_in", tenant: token.tenant, role: token.role };
  } catch (failure) {
    signOut(failureMessage(failure));
  }
}

/** Forget key and token. `message` is shown at the sign-in form. */
export function signOut(message: string | null = null): void {
  apiKey = "";
  token = { text: "", endsAtMs: 0, tenant: "", role: "" };
  state.value = { is: "signed_out", message };
}

/** Ask the API as whoever is signed in. @throws ApiFailure */
export async function ask(request: ApiRequest): Promise<unknown> {
  if (token.endsAtMs - Date.now() < RENEW_BEFORE_MS) await renewToken();
  return await askApi(request, token.text);
}

/** Make a new token from the key. @throws ApiFailure */
export async function renewToken(): Promise<void> {
  const answer = fields(await askApi({ method: "POST", path: "/auth/token" }, apiKey)) ?? {};
  token = {
    text: text(answer["token"]),
    endsAtMs: Date.now() + number(answer["expires_in"]) * 1_000,
    tenant: text(answer["tenant"]),
    role: text(answer["role"]),
  };
}

function failureMessage(failure: unknown): string {
  if (!(failure instanceof ApiFailure)) return "Signing in failed.";
  return failure.status === 401 ? "This key is not known here, or it was revoked." : failure.message;
}
