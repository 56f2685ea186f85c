/**
 * Who is signed in. The key and the token made from it live in this module's memory and nowhere else:
 * not in storage, not in the URL, not in the page.
 */
import { computed, signal } from "@preact/signals";
import { fields, text } from "../live/decode.ts";
import { ApiFailure, askApi, type ApiRequest } from "./api.ts";

export type SessionState =
  | { readonly is: "signed_out"; readonly message: string | null }
  | { readonly is: "signing_in" }
  | { readonly is: "signed_in" };

let apiKey = "";
let token = "";

const state = signal<SessionState>({ is: "signed_out", message: null });

export const session = computed(() => state.value);

/** Exchange a key for a token. The outcome is the session's state. */
export async function signIn(key: string): Promise<void> {
  state.value = { is: "signing_in" };
  apiKey = key.trim();
  try {
    await renewToken();
    state.value = { is: "signed_in" };
  } catch (failure) {
    signOut(failure instanceof ApiFailure ? signInMessage(failure) : "Signing in failed.");
  }
}

/** Forget key and token. `message` is shown at the sign-in form. */
export function signOut(message: string | null = null): void {
  apiKey = "";
  token = "";
  state.value = { is: "signed_out", message };
}

/** Ask the API as whoever is signed in; a token that ran out is renewed once. @throws ApiFailure */
export async function ask(request: ApiRequest): Promise<unknown> {
  try {
    return await askApi(request, token);
  } catch (failure) {
    if (!(failure instanceof ApiFailure) || failure.status !== 401) throw failure;
    await renewToken();
    return await askApi(request, token);
  }
}

/** Make a new token from the key. @throws ApiFailure */
export async function renewToken(): Promise<void> {
  const answer = fields(await askApi({ method: "POST", path: "/auth/token" }, apiKey));
  token = text(answer?.["token"] ?? answer?.["access_token"]);
  if (token === "") throw new ApiFailure(0, "The server answered without a token.", "");
}

function signInMessage(failure: ApiFailure): string {
  if (failure.status === 401) return "This key is not known here, or it was revoked.";
  if (failure.status === 403) return "This key may only send events. Use a viewer, editor or admin key.";
  return failure.message;
}
