import { useState } from "preact/hooks";
import { label } from "../format/value.ts";
import { ask } from "../session/session.ts";
import { silencesChanged } from "../stores/silences.ts";
import type { AlertView } from "../stores/alert-view.ts";
import { matchersOf } from "../stores/silences.ts";
import { Dialog } from "./dialog.tsx";
import { AreaField, FormFailure, SelectField, TextField } from "./form.tsx";
import { useAction } from "./use-action.ts";

const HOUR_MS = 3_600_000;
const LENGTHS = [
  [String(HOUR_MS), "1 hour"],
  [String(4 * HOUR_MS), "4 hours"],
  [String(24 * HOUR_MS), "1 day"],
  [String(7 * 24 * HOUR_MS), "1 week"],
] as const;

/** Keep alerts quiet for a while. @param alert what to begin with; none for an empty form */
export function SilenceDialog({ alert, onClose }: { alert?: AlertView; onClose: () => void }) {
  const [matchers, setMatchers] = useState(alert === undefined ? "" : matchersFor(alert));
  const [length, setLength] = useState<string>(LENGTHS[0][0]);
  const [comment, setComment] = useState("");
  const { run, isBusy, failure } = useAction();
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const now = Date.now();
    const body = {
      matchers: matchersOf(matchers),
      starts_at: new Date(now).toISOString(),
      ends_at: new Date(now + Number(length)).toISOString(),
      comment: comment.trim(),
    };
    if (!(await run(() => ask({ method: "POST", path: "/api/v1/silences", body })))) return;
    silencesChanged.value++;
    onClose();
  };
  return (
    <Dialog title="Silence" onClose={onClose}>
      <form class="form" onSubmit={(event) => void submit(event)}>
        <AreaField
          label="Which alerts"
          name="matchers"
          required
          hint="one matcher a line, all must hold: name = value, !=, =~ (regular expression), !~"
          failure={failure}
          value={matchers}
          onValue={setMatchers}
        />
        <SelectField
          label="For"
          name="ends_at"
          failure={failure}
          value={length}
          onValue={setLength}
          options={LENGTHS}
        />
        <TextField
          label="Comment"
          name="comment"
          required
          hint="why, for those who wonder"
          failure={failure}
          value={comment}
          onValue={setComment}
        />
        <FormFailure failure={failure} shown={["matchers", "ends_at", "comment"]} />
        <div class="form-foot">
          <button type="submit" class="button button-main" disabled={isBusy}>
            Silence
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function matchersFor({ ruleName, group }: AlertView): string {
  const lines = Object.entries(group).map(
    ([path, value]) => `${path} = ${typeof value === "string" ? value : label(value)}`,
  );
  return [`rule = ${ruleName}`, ...lines].join("\n");
}
