import { LEVELS } from "../../core/alerts/level.ts";
import { Checks, AreaField, SelectField, TextField } from "../parts/fields.tsx";
import { Link } from "../router.tsx";
import type { AggregationInfo } from "../stores/aggregation-info.ts";
import { channels } from "../stores/channels.ts";
import type { RuleDraft } from "../stores/rule-draft.ts";

/** Fields that are edited as text. */
type TextKey = { [Key in keyof RuleDraft]: RuleDraft[Key] extends string ? Key : never }[keyof RuleDraft];

interface DraftProps {
  readonly draft: RuleDraft;
  readonly change: (part: Partial<RuleDraft>) => void;
}

interface RuleFieldsProps extends DraftProps {
  /** Null while they are not known yet. */
  readonly aggregations: readonly AggregationInfo[] | null;
}

/** Every field of a rule: those that each rule needs, and folded away what most do without. */
export function RuleFields({ draft, change, aggregations }: RuleFieldsProps) {
  return (
    <>
      <Question draft={draft} change={change} aggregations={aggregations} />
      <Firing draft={draft} change={change} />
      <Checks
        legend="Tell"
        name="channels"
        chosen={draft.channels}
        onChosen={(chosen) => change({ channels: chosen })}
        options={channelOptions()}
        none={
          <>
            No channels yet: <Link to="/channels">make one</Link>.
          </>
        }
      />
      <More draft={draft} change={change} />
      <label class="check">
        <input
          type="checkbox"
          checked={draft.isEnabled}
          onChange={(event) => change({ isEnabled: event.currentTarget.checked })}
        />
        Enabled
      </label>
    </>
  );
}

/** Its name, and what is asked of which windows. */
function Question({ draft, change, aggregations }: RuleFieldsProps) {
  const text = bound({ draft, change });
  const aggregation = aggregations?.find(({ name }) => name === draft.aggregation);
  const measures = aggregation?.measures.map((measure) => measure.split(":")[0] ?? "") ?? [];
  return (
    <>
      <TextField label="Name" name="name" required {...text("name")} />
      <SelectField
        label="Aggregation"
        name="aggregation"
        hint={
          aggregation === undefined
            ? ""
            : `windows of ${aggregation.windowSize}, grouped by ${aggregation.groupBy.join(", ") || "nothing"}`
        }
        {...text("aggregation")}
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
        {...text("condition")}
      />
    </>
  );
}

/** From when, how long and how loudly it fires. */
function Firing(props: DraftProps) {
  const text = bound(props);
  return (
    <div class="form-row">
      <TextField label="Threshold" name="threshold" type="number" {...text("threshold")} />
      <SelectField label="Level" name="level" {...text("level")} options={LEVELS.map((level) => [level, level])} />
      <TextField label="For" name="for" placeholder="at once" hint="how long it must hold" {...text("for")} />
      <TextField
        label="Keep firing for"
        name="keep_firing_for"
        placeholder="not"
        hint="after it stopped"
        {...text("keepFiringFor")}
      />
    </div>
  );
}

/** What most rules do without. */
function More({ draft, change }: DraftProps) {
  const text = bound({ draft, change });
  return (
    <details class="more">
      <summary>Escalation, suppression and more</summary>
      <TextField
        label="Resolve condition"
        name="resolve_condition"
        hint="an open alert ends only when this holds; empty: when the condition no longer does"
        {...text("resolveCondition")}
      />
      <TextField
        label="Bundle notifications by"
        name="group_by"
        placeholder="data.host"
        hint="paths of the group, with commas between"
        {...text("groupBy")}
      />
      <div class="form-row">
        <TextField
          label="Suppress for (minutes)"
          name="suppression_minutes"
          type="number"
          hint="no second notification within"
          {...text("suppressionMinutes")}
        />
        <TextField
          label="Escalate after (minutes)"
          name="escalation_minutes"
          type="number"
          hint="without acknowledgement"
          {...text("escalationMinutes")}
        />
      </div>
      <Checks
        legend="Escalate to"
        name="escalation_channels"
        chosen={draft.escalationChannels}
        onChosen={(escalationChannels) => change({ escalationChannels })}
        options={channelOptions()}
        none="No channels yet."
      />
      <AreaField label="Description" name="description" rows={2} {...text("description")} />
    </details>
  );
}

function channelOptions(): (readonly [string, string])[] {
  return (channels.value ?? []).map(({ id, name, type }) => [id, `${name} (${type})`] as const);
}

/** The known names, and the chosen one while they are not known yet. */
function namesOf(names: readonly string[], chosen: string): (readonly [string, string])[] {
  return [...new Set([...names, chosen])].map((name) => [name, name] as const);
}

/** Ties a field of the form to one of the draft. */
function bound({ draft, change }: DraftProps): (key: TextKey) => { value: string; onValue: (value: string) => void } {
  return (key) => ({
    value: draft[key],
    onValue: (value) => {
      const part: { readonly [Key in TextKey]?: string } = { [key]: value };
      change(part);
    },
  });
}
