import { useState } from "preact/hooks";
import { Form } from "../parts/form.tsx";
import { Panel } from "../parts/panel.tsx";
import { useAction } from "../parts/use-action.ts";
import { useApi } from "../parts/use-api.ts";
import { go, query } from "../router.tsx";
import { ask, mayEdit } from "../session/session.ts";
import { decodeAggregationList } from "../stores/aggregation-info.ts";
import { bodyOf, draftOf, FORM_FIELDS, type RuleDraft } from "../stores/rule-draft.ts";
import { decodeRule, type RuleView } from "../stores/rules.ts";
import { RuleFields } from "./rule-fields.tsx";
import { RulePreview } from "./rule-preview.tsx";

const REFRESH_MS = 5_000;

/** Write a rule and see at once what it would have done. @param rule null to make a new one */
export function RuleEditor({ rule, onChanged }: { rule: RuleView | null; onChanged: () => void }) {
  const [draft, setDraft] = useState(() => draftOf(rule, query.peek().get("aggregation") ?? "events_1m"));
  const { data: aggregations } = useApi("/api/v1/aggregations", decodeAggregationList, REFRESH_MS);
  const aggregation = aggregations?.find(({ name }) => name === draft.aggregation);
  const action = useAction();
  const change = (part: Partial<RuleDraft>): void => setDraft({ ...draft, ...part });
  const save = async (): Promise<void> => {
    await action.run(async () => {
      const path = rule === null ? "/api/v1/rules" : `/api/v1/rules/${encodeURIComponent(rule.id)}`;
      const saved = decodeRule(await ask({ method: rule === null ? "POST" : "PUT", path, body: bodyOf(draft) }));
      onChanged();
      if (saved !== null) go(`/rules/${encodeURIComponent(saved.id)}`);
    });
  };
  return (
    <div class="editor">
      <Panel title={rule === null ? "New rule" : rule.name}>
        <Form
          action={action}
          onSend={save}
          shown={FORM_FIELDS}
          sendLabel={mayEdit.value ? (rule === null ? "Create" : "Save") : null}
          foot={rule !== null && <DeleteRule rule={rule} onChanged={onChanged} />}
        >
          <RuleFields draft={draft} change={change} aggregations={aggregations} />
        </Form>
      </Panel>
      <RulePreview draft={draft} untilMs={aggregation?.watermarkMs ?? null} />
    </div>
  );
}

function DeleteRule({ rule, onChanged }: { rule: RuleView; onChanged: () => void }) {
  const [isSure, setSure] = useState(false);
  const { run, isBusy, failure } = useAction();
  const remove = async (): Promise<void> => {
    if (!isSure) return setSure(true);
    const path = `/api/v1/rules/${encodeURIComponent(rule.id)}`;
    if (!(await run(() => ask({ method: "DELETE", path })))) return;
    onChanged();
    go("/rules");
  };
  return (
    <>
      <span class="note" role="status">
        {failure?.message ?? (isSure ? "Its open alerts are resolved." : "")}
      </span>
      <button type="button" class="button" disabled={isBusy} onClick={() => void remove()}>
        {isSure ? "Really delete" : "Delete"}
      </button>
    </>
  );
}
