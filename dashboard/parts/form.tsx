/** A form: its fields, what the server found wrong with it, and the button that sends it. */
import { createContext, type ComponentChildren } from "preact";
import { useContext } from "preact/hooks";
import type { ApiFailure } from "../session/api.ts";
import { Mark } from "./mark.tsx";
import type { Action } from "./use-action.ts";

interface FormProps {
  /** What sending does; while it runs the button is off. */
  readonly action: Action;
  readonly onSend: () => Promise<void>;
  /** Paths in the request's body whose problems the fields show themselves. */
  readonly shown: readonly string[];
  /** What stands on the button; null for those who may only look. */
  readonly sendLabel: string | null;
  /** Whether sending is the main thing to do on the page. */
  readonly isMain?: boolean;
  /** Buttons before the one that sends. */
  readonly foot?: ComponentChildren;
  readonly children: ComponentChildren;
}

/** Why the form around a field was refused, so that no field has to be told. */
const Refusal = createContext<ApiFailure | null>(null);

/** Fields with a button that sends them. Fields show the problems that the server has with them. */
export function Form({ action, onSend, shown, sendLabel, isMain = true, foot, children }: FormProps) {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    void onSend();
  };
  return (
    <form class="form" onSubmit={submit}>
      <Refusal.Provider value={action.failure}>{children}</Refusal.Provider>
      {action.failure !== null && <FormFailure failure={action.failure} shown={shown} />}
      {sendLabel !== null && (
        <div class="form-foot">
          {foot}
          <button type="submit" class={isMain ? "button button-main" : "button"} disabled={action.isBusy}>
            {sendLabel}
          </button>
        </div>
      )}
    </form>
  );
}

/** What the server found wrong with one field of the form around; null when nothing. @param name the field's path in the body */
export function useProblem(name: string): string | null {
  const found = useContext(Refusal)?.problems.filter(({ field }) => isUnder(field, name)) ?? [];
  return found.length === 0 ? null : found.map(({ message }) => message).join("; ");
}

/** What the server said of the form as a whole, and of fields that it does not show. */
function FormFailure({ failure, shown }: { failure: ApiFailure; shown: readonly string[] }) {
  const isShown =
    failure.problems.length > 0 && failure.problems.every(({ field }) => shown.some((name) => isUnder(field, name)));
  return (
    <p class="form-failure" role="alert">
      <Mark status="error" /> {isShown ? "Something in the form is not right; see the marked fields." : failure.message}
      {!isShown && failure.correlationId !== "" && <code> {failure.correlationId}</code>}
    </p>
  );
}

function isUnder(field: string, name: string): boolean {
  return field === name || field.startsWith(`${name}.`);
}
