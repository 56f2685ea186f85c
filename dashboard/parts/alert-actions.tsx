import { useState } from "preact/hooks";
import { ask, mayEdit, who } from "../session/session.ts";
import type { AlertView } from "../stores/alert-view.ts";
import { Dialog } from "./dialog.tsx";
import { AreaField } from "./fields.tsx";
import { Form } from "./form.tsx";
import { SilenceDialog } from "./silence-dialog.tsx";
import { useAction } from "./use-action.ts";

/** What can be done about an alert: with one click, or with a comment in the alert's history. */
export function AlertActions({ alert, withComment = false }: { alert: AlertView; withComment?: boolean }) {
  const [asked, setAsked] = useState<"acknowledge" | "resolve" | "silence" | null>(null);
  const { run, isBusy, failure } = useAction();
  if (!mayEdit.value || alert.status === "resolved") return null;
  const act = (what: "acknowledge" | "resolve"): void => {
    if (withComment) setAsked(what);
    else void run(() => actOn(alert, what, ""));
  };
  const name = <span class="visually-hidden"> {alert.ruleName}</span>;
  return (
    <div class="alert-actions">
      <span role="status" class="note">
        {failure?.message}
      </span>
      {alert.status === "firing" && (
        <button type="button" class="button" disabled={isBusy} onClick={() => act("acknowledge")}>
          Acknowledge{name}
        </button>
      )}
      {alert.status !== "pending" && (
        <button type="button" class="button" disabled={isBusy} onClick={() => act("resolve")}>
          Resolve{name}
        </button>
      )}
      <button type="button" class="button" onClick={() => setAsked("silence")}>
        Silence{name}
      </button>
      {asked === "silence" && <SilenceDialog alert={alert} onClose={() => setAsked(null)} />}
      {(asked === "acknowledge" || asked === "resolve") && (
        <CommentDialog alert={alert} what={asked} onClose={() => setAsked(null)} />
      )}
    </div>
  );
}

const TITLES = { acknowledge: "Acknowledge", resolve: "Resolve" } as const;

function CommentDialog({ alert, what, onClose }: { alert: AlertView; what: keyof typeof TITLES; onClose: () => void }) {
  const [comment, setComment] = useState("");
  const action = useAction();
  const send = async (): Promise<void> => {
    if (await action.run(() => actOn(alert, what, comment.trim()))) onClose();
  };
  return (
    <Dialog title={`${TITLES[what]}: ${alert.ruleName}`} onClose={onClose}>
      <Form action={action} onSend={send} shown={["comment"]} sendLabel={TITLES[what]}>
        <AreaField
          label="Comment"
          name="comment"
          hint="Kept in the alert's history."
          value={comment}
          onValue={setComment}
        />
      </Form>
    </Dialog>
  );
}

async function actOn(alert: AlertView, what: keyof typeof TITLES, comment: string): Promise<void> {
  await ask({
    method: "POST",
    path: `/api/v1/alerts/${encodeURIComponent(alert.id)}/${what}`,
    body: { by: who.peek(), ...(comment === "" ? {} : { comment }) },
  });
}
