/** Told once when an item's fate is known to its sender; `lost` means that no answer came in time. */
export type Outcome = (fate: "done" | "refused" | "lost") => void;

/** Where items go. */
export interface Path {
  submit(outcome: Outcome): void;
}
