import { useState } from "preact/hooks";
import { compact, full } from "../format/number.ts";
import { duration } from "../format/time.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Fact } from "../parts/fact.tsx";
import { Failure } from "../parts/failure.tsx";
import { SelectField, TextField } from "../parts/fields.tsx";
import { Form } from "../parts/form.tsx";
import { Panel } from "../parts/panel.tsx";
import { SkeletonRows } from "../parts/skeleton.tsx";
import { useAction } from "../parts/use-action.ts";
import { useApi } from "../parts/use-api.ts";
import { ask, mayAdminister } from "../session/session.ts";
import { decodeFlow, type Flow } from "../stores/flow.ts";

const REFRESH_MS = 1_000;
const ALGORITHMS = ["adaptive", "aimd", "cubic", "bbr"].map((name) => [name, name] as const);

/** How much is let in, and whether what comes after keeps up. */
export function FlowPanel() {
  const { data, failure, again } = useApi("/api/v1/flow", decodeFlow, REFRESH_MS);
  const [isChanging, setChanging] = useState(false);
  const actions = mayAdminister.value && data !== null && (
    <button type="button" class="button" onClick={() => setChanging(true)}>
      Change
    </button>
  );
  return (
    <Panel title="Flow" note="what is let in, and what becomes of it" actions={actions}>
      {failure !== null && <Failure failure={failure} onRetry={again} />}
      {data === null ? failure === null && <SkeletonRows count={2} /> : <Facts flow={data} />}
      {isChanging && data !== null && <Settings flow={data} onClose={() => setChanging(false)} onChanged={again} />}
    </Panel>
  );
}

function Facts({ flow }: { flow: Flow }) {
  const { requests, events } = flow;
  return (
    <dl class="facts">
      <Fact name="State">{flow.isPressed ? "under pressure" : "keeps up"}</Fact>
      <Fact name="Accepted">{compact(flow.acceptedPerSecond)}/s</Fact>
      <Fact name="Applied">{compact(flow.appliedPerSecond)}/s</Fact>
      <Fact name="Limit">{flow.limit === null ? "the quota" : `${compact(flow.limit)}/s`}</Fact>
      <Fact name="In flight">
        {full(flow.inFlight)} of {compact(flow.window)}
      </Fact>
      <Fact name="Oldest waiting">{flow.oldestMs < 1_000 ? `${full(flow.oldestMs)} ms` : duration(flow.oldestMs)}</Fact>
      <Fact name="Algorithm">{flow.algorithm}</Fact>
      <Fact name="Quota">
        {compact(flow.quota.eventsPerSecond)}/s, burst {compact(flow.quota.burst)}
      </Fact>
      <Fact name="Weight">{full(flow.weight)}</Fact>
      <Fact name="Refusals downstream">{full(flow.refusals)}</Fact>
      {flow.circuits.map(([name, state]) => (
        <Fact key={name} name={`Circuit ${name}`}>
          {state}
        </Fact>
      ))}
      <Fact name="Requests">
        {full(requests.offered)} offered = {full(requests.admitted)} admitted + {full(requests.refused)} refused
      </Fact>
      <Fact name="Events">
        {full(events.admitted)} admitted, {full(events.applied)} applied
      </Fact>
    </dl>
  );
}

function Settings({ flow, onClose, onChanged }: { flow: Flow; onClose: () => void; onChanged: () => void }) {
  const [algorithm, setAlgorithm] = useState(flow.algorithm);
  const [perSecond, setPerSecond] = useState(String(flow.quota.eventsPerSecond));
  const [burst, setBurst] = useState(String(flow.quota.burst));
  const [bytes, setBytes] = useState(String(flow.quota.bytesPerSecond));
  const action = useAction();
  const send = async (): Promise<void> => {
    const quota = { events_per_second: Number(perSecond), burst: Number(burst), bytes_per_second: Number(bytes) };
    if (!(await action.run(() => ask({ method: "PUT", path: "/api/v1/flow", body: { algorithm, quota } })))) return;
    onChanged();
    onClose();
  };
  return (
    <Dialog title="Flow" onClose={onClose}>
      <Form
        action={action}
        onSend={send}
        shown={["algorithm", "quota.events_per_second", "quota.burst", "quota.bytes_per_second"]}
        sendLabel="Save"
      >
        <SelectField label="Algorithm" name="algorithm" value={algorithm} onValue={setAlgorithm} options={ALGORITHMS} />
        <TextField
          label="Events per second"
          name="quota.events_per_second"
          type="number"
          required
          value={perSecond}
          onValue={setPerSecond}
        />
        <TextField label="Burst (events)" name="quota.burst" type="number" required value={burst} onValue={setBurst} />
        <TextField
          label="Bytes per second"
          name="quota.bytes_per_second"
          type="number"
          required
          value={bytes}
          onValue={setBytes}
        />
      </Form>
    </Dialog>
  );
}
