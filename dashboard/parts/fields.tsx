/** Fields of a form: a label, what it is for, and what the server found wrong with it, tied together for screen readers. */
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { useProblem } from "./form.tsx";

interface FieldProps {
  readonly label: string;
  readonly hint?: ComponentChildren;
  /** Path of the field in the request's body; the server's problems with it are shown here. */
  readonly name: string;
  readonly value: string;
  readonly onValue: (value: string) => void;
  readonly required?: boolean;
}

interface TextFieldProps extends FieldProps {
  /** `number` asks phones for their digits; what is not a number is the server's to refuse, in words. */
  readonly type?: "text" | "number" | "password" | "url";
  readonly placeholder?: string;
}

const INPUT_MODES = { text: "text", password: "text", number: "decimal", url: "url" } as const;

/** One line of text. */
export function TextField(props: TextFieldProps) {
  const { type = "text", placeholder, value, onValue, required = false } = props;
  return (
    <Field {...props}>
      {(described) => (
        <input
          {...described}
          {...(type === "password" ? { type } : { type: "text" })}
          inputMode={INPUT_MODES[type]}
          {...(placeholder === undefined ? {} : { placeholder })}
          spellcheck={false}
          autocomplete="off"
          required={required}
          value={value}
          onInput={(event) => onValue(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

/** Several lines of text. */
export function AreaField(props: FieldProps & { readonly rows?: number }) {
  return (
    <Field {...props}>
      {(described) => (
        <textarea
          {...described}
          rows={props.rows ?? 3}
          spellcheck={false}
          required={props.required ?? false}
          value={props.value}
          onInput={(event) => props.onValue(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

/** One of a few. */
export function SelectField(props: FieldProps & { readonly options: readonly (readonly [string, string])[] }) {
  return (
    <Field {...props}>
      {(described) => (
        <select
          {...described}
          required={props.required ?? false}
          value={props.value}
          onChange={(event) => props.onValue(event.currentTarget.value)}
        >
          {props.options.map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface ChecksProps {
  readonly legend: string;
  readonly name: string;
  readonly options: readonly (readonly [string, string])[];
  readonly chosen: readonly string[];
  readonly onChosen: (chosen: readonly string[]) => void;
  /** Shown when there is nothing to choose. */
  readonly none: ComponentChildren;
}

/** Any of a few, in the order of the choice. */
export function Checks({ legend, name, options, chosen, onChosen, none }: ChecksProps) {
  const toggle = (value: string, on: boolean): void =>
    onChosen(on ? [...chosen, value] : chosen.filter((one) => one !== value));
  const problem = useProblem(name);
  return (
    <fieldset class="checks">
      <legend>{legend}</legend>
      {options.length === 0 && <p class="note">{none}</p>}
      {options.map(([value, text]) => (
        <label key={value}>
          <input
            type="checkbox"
            checked={chosen.includes(value)}
            onChange={(event) => toggle(value, event.currentTarget.checked)}
          />
          {text}
        </label>
      ))}
      {problem !== null && <p class="problem">{problem}</p>}
    </fieldset>
  );
}

interface Described {
  readonly id: string;
  readonly "aria-describedby": string;
  readonly "aria-invalid": boolean;
}

function Field({
  label,
  hint,
  name,
  children,
}: FieldProps & { children: (described: Described) => ComponentChildren }) {
  const id = useId();
  const described = `${id}-about`;
  const problem = useProblem(name);
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, "aria-describedby": described, "aria-invalid": problem !== null })}
      <p id={described} class={problem === null ? "note" : "problem"}>
        {problem ?? hint}
      </p>
    </div>
  );
}
