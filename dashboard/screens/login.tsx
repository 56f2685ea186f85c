import { useState } from "preact/hooks";
import { Mark } from "../parts/mark.tsx";
import { Wordmark } from "../parts/wordmark.tsx";
import { session, signIn } from "../session/session.ts";

/** One field for a key. It is exchanged for a token that lives in this page's memory. */
export function Login() {
  const [key, setKey] = useState("");
  const state = session.value;
  const message = state.is === "signed_out" ? state.message : null;
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    if (key.trim() !== "") void signIn(key);
  };
  return (
    <main class="login">
      <form class="login-card" onSubmit={submit}>
        <Wordmark />
        <h1>Sign in</h1>
        <p class="muted">
          Paste an API key: the one <code>npm start</code> printed, or any viewer, editor or admin key.
        </p>
        {/* Password managers file the key under this name. */}
        <input
          class="visually-hidden"
          type="text"
          autocomplete="username"
          value="streamflow"
          readOnly
          tabIndex={-1}
          aria-hidden="true"
        />
        <label class="field">
          <span>API key</span>
          <input
            type="password"
            autocomplete="current-password"
            autocapitalize="off"
            spellcheck={false}
            required
            autofocus
            value={key}
            aria-invalid={message !== null}
            aria-describedby="login-message"
            onInput={(event) => setKey(event.currentTarget.value)}
          />
        </label>
        <p id="login-message" class="login-message" role="alert">
          {message !== null && (
            <>
              <Mark status="error" /> {message}
            </>
          )}
        </p>
        <button type="submit" class="button button-main" disabled={state.is === "signing_in"}>
          {state.is === "signing_in" ? "Signing in" : "Sign in"}
        </button>
        <p class="note">The key stays in this tab's memory. It is not stored, and reloading asks for it again.</p>
      </form>
    </main>
  );
}
