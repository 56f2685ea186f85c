import { useState } from "preact/hooks";
import { label } from "../format/value.ts";
import { ask } from "../session/session.ts";
import type { AlertView } from "../stores/alert-view.ts";
import { matchersOf, silencesChanged } from "../stores/silences.ts";
import { Dialog } from "./dialog.tsx";
import { AreaField, SelectField, TextField } from "./fields.tsx";
import { Form } from "./form.tsx";
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
  const action = useAction();
  const send = async (): Promise<void> => {
    const now = Date.now();
    const body = {
      matchers: matchersOf(matchers),
      starts_at: new Date(now).toISOString(),
      ends_at: new Date(now + Number(length)).toISOString(),
      comment: comment.trim(),
    };
    if (!(await action.run(() => ask({ method: "POST", path: "/api/v1/silences", body })))) return;
    silencesChanged.value++;
    onClose();
  };
  return (
    <Dialog title="Silence" onClose={onClose}>
      <Form action={action} onSend={send} shown={["matchers", "ends_at", "comment"]} sendLabel="Silence">
        <AreaField
          label="Which alerts"
          name="matchers"
          required
          hint="one matcher a line, all must hold: name = value, !=, =~ (regular expression), !~"
          value={matchers}
          onValue={setMatchers}
        />
        <SelectField label="For" name="ends_at" value={length} onValue={setLength} options={LENGTHS} />
        <TextField
          label="Comment"
          name="comment"
          required
          hint="why, for those who wonder"
          value={comment}
          onValue={setComment}
        />
      </Form>
    </Dialog>
  );
}

function matchersFor({ ruleName, group }: AlertView): string {
  const lines = Object.entries(group).map(
    ([path, value]) => `${path} = ${typeof value === "string" ? value : label(value)}`,
  );
  return [`rule = ${ruleName}`, ...lines].join("\n");
}
