import { useState } from "preact/hooks";
import { Checks, AreaField, FormFailure, SelectField, TextField } from "../parts/form.tsx";
import { Panel } from "../parts/panel.tsx";
import { useAction } from "../parts/use-action.ts";
import { useApi } from "../parts/use-api.ts";
import { go, Link, query } from "../router.tsx";
import { ask, mayEdit } from "../session/session.ts";
import { decodeAggregationList } from "../stores/aggregation-info.ts";
import { LEVELS } from "../stores/alert-view.ts";
import { channels } from "../stores/channels.ts";
import { bodyOf, draftOf, type RuleDraft } from "../stores/rule-draft.ts";
import { decodeRule, type RuleView } from "../stores/rules.ts";
import { RulePreview } from "./rule-preview.tsx";

const REFRESH_MS = 5_000;
const SHOWN = [
  "name",
  "description",
  "aggregation",
  "condition",
  "resolve_condition",
  "threshold",
  "for",
  "keep_firing_for",
  "level",
  "channels",
  "group_by",
  "suppression_minutes",
  "escalation_minutes",
  "escalation_channels",
];

/** Write a rule and see at once what it would have done. @param rule null to make a new one */
export function RuleEditor({ rule, onChanged }: { rule: RuleView | null; onChanged: () => void }) {
  const [draft, setDraft] = useState(() => draftOf(rule, query.peek().get("aggregation") ?? "events_1m"));
  const { data: aggregations } = useApi("/api/v1/aggregations", decodeAggregationList, REFRESH_MS);
  const aggregation = aggregations?.find(({ name }) => name === draft.aggregation);
  const { run, isBusy, failure } = useAction();
  const change = (part: Partial<RuleDraft>): void => setDraft({ ...draft, ...part });
  const save = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    await run(async () => {
      const path = rule === null ? "/api/v1/rules" : `/api/v1/rules/${encodeURIComponent(rule.id)}`;
      const saved = decodeRule(await ask({ method: rule === null ? "POST" : "PUT", path, body: bodyOf(draft) }));
      onChanged();
      if (saved !== null) go(`/rules/${encodeURIComponent(saved.id)}`);
    });
  };
  const measures = aggregation?.measures.map((measure) => measure.split(":")[0] ?? "") ?? [];
  return (
    <div class="editor">
      <Panel title={rule === null ? "New rule" : rule.name}>
        <form class="form" onSubmit={(event) => void save(event)}>
          <TextField
            label="Name"
            name="name"
            required
            failure={failure}
            value={draft.name}
            onValue={(name) => change({ name })}
          />
          <SelectField
            label="Aggregation"
            name="aggregation"
            hint={
              aggregation === undefined
                ? ""
                : `windows of ${aggregation.windowSize}, grouped by ${aggregation.groupBy.join(", ") || "nothing"}`
            }
            failure={failure}
            value={draft.aggregation}
            onValue={(name) => change({ aggregation: name })}
            options={namesOf(aggregations?.map(({ name }) => name) ?? [], draft.aggregation)}
          />
          <AreaField
            label="Condition"
            name="condition"
            rows={2}
            required
            hint={
              <>
                reads <code>{measures.join(", ")}</code>, <code>threshold</code>, <code>group['…']</code>,{" "}
                <code>previous</code>
              </>
            }
            failure={failure}
            value={draft.condition}
            onValue={(condition) => change({ condition })}
          />
          <div class="form-row">
            <TextField
              label="Threshold"
              name="threshold"
              type="number"
              failure={failure}
              value={draft.threshold}
              onValue={(threshold) => change({ threshold })}
            />
            <SelectField
              label="Level"
              name="level"
              failure={failure}
              value={draft.level}
              onValue={(level) => change({ level })}
              options={LEVELS.map((level) => [level, level])}
            />
            <TextField
              label="For"
              name="for"
              placeholder="at once"
              hint="how long it must hold"
              failure={failure}
              value={draft.for}
              onValue={(length) => change({ for: length })}
            />
            <TextField
              label="Keep firing for"
              name="keep_firing_for"
              placeholder="not"
              hint="after it stopped"
              failure={failure}
              value={draft.keepFiringFor}
              onValue={(length) => change({ keepFiringFor: length })}
            />
          </div>
          <Checks
            legend="Tell"
            name="channels"
            failure={failure}
            chosen={draft.channels}
            onChosen={(chosen) => change({ channels: chosen })}
            options={channelOptions()}
            none={
              <>
                No channels yet: <Link to="/channels">make one</Link>.
              </>
            }
          />
          <More draft={draft} change={change} failure={failure} />
          <label class="check">
            <input
              type="checkbox"
              checked={draft.isEnabled}
              onChange={(event) => change({ isEnabled: event.currentTarget.checked })}
            />
            Enabled
          </label>
          <FormFailure failure={failure} shown={SHOWN} />
          {mayEdit.value && (
            <div class="form-foot">
              {rule !== null && <DeleteRule rule={rule} onChanged={onChanged} />}
              <button type="submit" class="button button-main" disabled={isBusy}>
                {rule === null ? "Create" : "Save"}
              </button>
            </div>
          )}
        </form>
      </Panel>
      <RulePreview draft={draft} untilMs={aggregation?.watermarkMs ?? null} />
    </div>
  );
}

interface MoreProps {
  readonly draft: RuleDraft;
  readonly change: (part: Partial<RuleDraft>) => void;
  readonly failure: ReturnType<typeof useAction>["failure"];
}

/** What most rules do without. */
function More({ draft, change, failure }: MoreProps) {
  return (
    <details class="more">
      <summary>Escalation, suppression and more</summary>
      <TextField
        label="Resolve condition"
        name="resolve_condition"
        hint="an open alert ends only when this holds; empty: when the condition no longer does"
        failure={failure}
        value={draft.resolveCondition}
        onValue={(resolveCondition) => change({ resolveCondition })}
      />
      <TextField
        label="Bundle notifications by"
        name="group_by"
        placeholder="data.host"
        hint="paths of the group, with commas between"
        failure={failure}
        value={draft.groupBy}
        onValue={(groupBy) => change({ groupBy })}
      />
      <div class="form-row">
        <TextField
          label="Suppress for (minutes)"
          name="suppression_minutes"
          type="number"
          hint="no second notification within"
          failure={failure}
          value={draft.suppressionMinutes}
          onValue={(suppressionMinutes) => change({ suppressionMinutes })}
        />
        <TextField
          label="Escalate after (minutes)"
          name="escalation_minutes"
          type="number"
          hint="without acknowledgement"
          failure={failure}
          value={draft.escalationMinutes}
          onValue={(escalationMinutes) => change({ escalationMinutes })}
        />
      </div>
      <Checks
        legend="Escalate to"
        name="escalation_channels"
        failure={failure}
        chosen={draft.escalationChannels}
        onChosen={(escalationChannels) => change({ escalationChannels })}
        options={channelOptions()}
        none="No channels yet."
      />
      <AreaField
        label="Description"
        name="description"
        rows={2}
        failure={failure}
        value={draft.description}
        onValue={(description) => change({ description })}
      />
    </details>
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

function channelOptions(): (readonly [string, string])[] {
  return (channels.value ?? []).map(({ id, name, type }) => [id, `${name} (${type})`] as const);
}

/** The known names, and the chosen one while they are not known yet. */
function namesOf(names: readonly string[], chosen: string): (readonly [string, string])[] {
  return [...new Set([...names, chosen])].map((name) => [name, name] as const);
}
