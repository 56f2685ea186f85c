import type { ApiFailure } from "../session/api.ts";
import { Mark } from "./mark.tsx";

/** The server's own words for what went wrong, the id to look for in its log, and another try. */
export function Failure({ failure, onRetry }: { failure: ApiFailure; onRetry: () => void }) {
  return (
    <div class="failure" role="alert">
      <Mark status="error" />
      <p>
        {failure.message}
        {failure.correlationId !== "" && <code> {failure.correlationId}</code>}
      </p>
      <button type="button" class="button" onClick={onRetry}>
        Retry
      </button>
    </div>
  );
}
