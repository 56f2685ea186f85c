import sprite from "../icons.svg";

export type Status = "ok" | "info" | "warning" | "error" | "critical";

/** The shape of a status. It always stands beside a word; `outline` is for what is not (or no longer) in force. */
export function Mark({ status, outline = false }: { status: Status; outline?: boolean }) {
  return (
    <svg class="mark" data-status={status} data-outline={outline} aria-hidden="true">
      <use href={`${sprite}#mark-${status}`} />
    </svg>
  );
}
