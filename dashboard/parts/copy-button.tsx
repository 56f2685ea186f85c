import { useState } from "preact/hooks";
import { Icon } from "./icon.tsx";

const SHOWN_MS = 2_000;

/** Copies a text and says whether that worked. */
export function CopyButton({ text, what }: { text: string; what: string }) {
  const [outcome, setOutcome] = useState<"" | "Copied" | "Not copied">("");
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setOutcome("Copied");
    } catch {
      // No permission, or not a secure address: the text stays selectable beside the button.
      setOutcome("Not copied");
    }
    setTimeout(() => setOutcome(""), SHOWN_MS);
  };
  return (
    <button type="button" class="button button-quiet" onClick={() => void copy()}>
      <Icon name={outcome === "Copied" ? "check" : "copy"} />
      <span role="status">{outcome === "" ? `Copy ${what}` : outcome}</span>
    </button>
  );
}
