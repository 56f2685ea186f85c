import { useEffect, useState } from "preact/hooks";
import { label } from "../format/value.ts";
import { fields, number, text } from "../live/decode.ts";
import { CopyButton } from "../parts/copy-button.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { Empty } from "../parts/empty.tsx";
import { Failure } from "../parts/failure.tsx";
import { SelectField, TextField } from "../parts/fields.tsx";
import { Form } from "../parts/form.tsx";
import { ListTable } from "../parts/list-table.tsx";
import { Panel } from "../parts/panel.tsx";
import { SkeletonRows } from "../parts/skeleton.tsx";
import { useAction } from "../parts/use-action.ts";
import { notifyThisBrowser, pushObstacle } from "../session/push.ts";
import { ask, mayEdit } from "../session/session.ts";
import { CHANNEL_FORMS, channelBody } from "../stores/channel-forms.ts";
import { type Channel, channels, loadChannels } from "../stores/channels.ts";

/** Where alerts go. */
export function Channels() {
  const { run, failure } = useAction();
  const [isAdding, setAdding] = useState(false);
  const reload = (): void => void run(loadChannels);
  useEffect(reload, []);
  const actions = mayEdit.value && (
    <button type="button" class="button button-main" onClick={() => setAdding(true)}>
      New channel
    </button>
  );
  return (
    <div class="stack">
      {failure !== null && <Failure failure={failure} onRetry={reload} />}
      <Panel title="Channels" note="where notifications go" actions={actions}>
        {channels.value === null ? <SkeletonRows count={3} /> : <List list={channels.value} onChanged={reload} />}
      </Panel>
      {mayEdit.value && <ThisBrowser onChanged={reload} />}
      {isAdding && <NewChannel onClose={() => setAdding(false)} onChanged={reload} />}
    </div>
  );
}

function List({ list, onChanged }: { list: readonly Channel[]; onChanged: () => void }) {
  if (list.length === 0) return <Empty why="No channels yet: rules have nobody to tell." />;
  return (
    <ListTable label="Channels" columns={["Name", "Kind", "Address", "State", { name: "Actions", isHidden: true }]}>
      {list.map((channel) => (
        <Row key={channel.id} channel={channel} onChanged={onChanged} />
      ))}
    </ListTable>
  );
}

function Row({ channel, onChanged }: { channel: Channel; onChanged: () => void }) {
  const { run, isBusy, failure } = useAction();
  const [outcome, setOutcome] = useState("");
  const path = `/api/v1/channels/${encodeURIComponent(channel.id)}`;
  const test = (): void => {
    setOutcome("Sending");
    void run(async () => setOutcome(testWords(await ask({ method: "POST", path: `${path}/test` }))));
  };
  const remove = async (): Promise<void> => {
    if (await run(() => ask({ method: "DELETE", path }))) onChanged();
  };
  return (
    <tr>
      <th scope="row">{channel.name}</th>
      <td>{channel.type}</td>
      <td class="wide">{addressOf(channel)}</td>
      <td class="wide">{stateOf(channel)}</td>
      <td>
        <span class="row-actions">
          <span role="status" class="note">
            {failure?.message ?? outcome}
          </span>
          {mayEdit.value && (
            <>
              <button type="button" class="button" disabled={isBusy} onClick={test}>
                Send a test<span class="visually-hidden"> to {channel.name}</span>
              </button>
              <button type="button" class="button" disabled={isBusy} onClick={() => void remove()}>
                Delete<span class="visually-hidden"> {channel.name}</span>
              </button>
            </>
          )}
        </span>
      </td>
    </tr>
  );
}

function stateOf({ circuit, waiting, trouble }: Channel): string {
  const isReady = circuit === "" || circuit === "closed";
  const state = isReady ? (trouble === "" ? "ready" : "failing") : circuit === "open" ? "resting" : "being tried";
  return [state, ...(waiting > 0 ? [`${waiting} waiting`] : []), ...(trouble === "" ? [] : [trouble])].join(" · ");
}

function testWords(answer: unknown): string {
  const found = fields(answer) ?? {};
  const error = text(found["error"]);
  if (found["delivered"] === true)
    return `Delivered in ${Math.round(number(found["latency_ms"]))} ms${error === "" ? "" : `; ${error}`}`;
  return `Not delivered: ${error || `answered ${label(number(found["status"]))}`}`;
}

function addressOf({ config }: Channel): string {
  const shown = Object.entries(config).filter(([name, value]) => !name.endsWith("_set") && value !== false);
  return shown.map(([name, value]) => `${name} ${label(value)}`).join(" · ");
}

const KINDS = Object.entries(CHANNEL_FORMS).map(([type, { title }]) => [type, title] as const);

function NewChannel({ onClose, onChanged }: { onClose: () => void; onChanged: () => void }) {
  const [type, setType] = useState("webhook");
  const [name, setName] = useState("");
  const [values, setValues] = useState<Readonly<Record<string, string>>>({});
  const [secret, setSecret] = useState("");
  const action = useAction();
  const form = CHANNEL_FORMS[type]?.fields ?? [];
  const send = async (): Promise<void> => {
    let made = "";
    const isMade = await action.run(async () => {
      const body = channelBody(type, name.trim(), values);
      made = text(fields(await ask({ method: "POST", path: "/api/v1/channels", body }))?.["secret"]);
    });
    if (!isMade) return;
    onChanged();
    if (made === "") onClose();
    else setSecret(made);
  };
  if (secret !== "") return <SigningSecret secret={secret} onClose={onClose} />;
  return (
    <Dialog title="New channel" onClose={onClose}>
      <Form
        action={action}
        onSend={send}
        shown={["type", "name", ...form.map((field) => `config.${field.name}`)]}
        sendLabel="Create"
      >
        <SelectField label="Kind" name="type" value={type} onValue={setType} options={KINDS} />
        <TextField label="Name" name="name" required value={name} onValue={setName} />
        {form.map((field) => (
          <TextField
            key={`${type} ${field.name}`}
            label={field.label}
            name={`config.${field.name}`}
            hint={field.hint}
            type={field.type ?? "text"}
            required={field.required ?? false}
            value={values[field.name] ?? ""}
            onValue={(value) => setValues({ ...values, [field.name]: value })}
          />
        ))}
      </Form>
    </Dialog>
  );
}

function SigningSecret({ secret, onClose }: { secret: string; onClose: () => void }) {
  return (
    <Dialog title="The signing secret" onClose={onClose} actions={<CopyButton text={secret} what="secret" />}>
      <p>Receivers check signatures with it. It is shown only now.</p>
      <pre class="code">{secret}</pre>
    </Dialog>
  );
}

/** Alerts on this computer or phone, also while the page is closed. */
function ThisBrowser({ onChanged }: { onChanged: () => void }) {
  const [name, setName] = useState("This browser");
  const action = useAction();
  const obstacle = pushObstacle();
  const send = async (): Promise<void> => {
    if (await action.run(() => notifyThisBrowser(name.trim()))) onChanged();
  };
  return (
    <Panel title="This browser" note="notifications, also while this page is closed">
      {obstacle === null ? (
        <Form action={action} onSend={send} shown={["name"]} sendLabel="Notify this browser" isMain={false}>
          <TextField label="Name of the channel" name="name" required value={name} onValue={setName} />
        </Form>
      ) : (
        <p class="note">{obstacle}</p>
      )}
    </Panel>
  );
}
