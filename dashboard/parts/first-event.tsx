import { useState } from "preact/hooks";
import { ApiFailure } from "../session/api.ts";
import { ask, session } from "../session/session.ts";
import { CopyButton } from "./copy-button.tsx";
import { Icon } from "./icon.tsx";

const EVENT = { type: "order.created", source: "shop", data: { path: "/checkout", status: 200 } };

/** Nothing has come yet: the exact commands that change that, and a button that does it from here. */
export function FirstEvent() {
  const { origin } = window.location;
  const curl = `curl -X POST ${origin}/events \\
  -H "Authorization: Bearer $STREAMFLOW_KEY" \\
  -H "Content-Type: application/json" \\
  -d '${JSON.stringify(EVENT)}'`;
  const ship = `npx streamflow ship access.log --format combined --source web${isHere() ? "" : ` \\\n  --url ${origin}`}`;
  return (
    <div class="first-event">
      <p>
        Nothing has come in yet. Put an ingest or admin key into <code>STREAMFLOW_KEY</code>, then use either of these.
        What arrives shows up on this page within a second.
      </p>
      <div class="commands">
        <Command title="Send one event" text={curl} />
        <Command title="Ship a web server's log" text={ship} />
      </div>
      {maySend() && <TestEventButton />}
    </div>
  );
}

function maySend(): boolean {
  return session.value.is === "signed_in" && session.value.role === "admin";
}

/** On the machine that runs the platform the command finds address and key by itself. */
function isHere(): boolean {
  return ["localhost", "127.0.0.1", "[::1]"].includes(window.location.hostname);
}

function Command({ title, text }: { title: string; text: string }) {
  return (
    <div class="command">
      <div class="command-head">
        <h3>{title}</h3>
        <CopyButton text={text} what="command" />
      </div>
      <pre class="scroller code" tabIndex={0} role="group" aria-label={title}>
        {text}
      </pre>
    </div>
  );
}

function TestEventButton() {
  const [outcome, setOutcome] = useState("");
  const send = async (): Promise<void> => {
    setOutcome("Sending");
    try {
      await ask({ method: "POST", path: "/events", body: EVENT });
      setOutcome("Sent: it shows up here in a moment.");
    } catch (failure) {
      setOutcome(failure instanceof ApiFailure ? failure.message : "It could not be sent.");
    }
  };
  return (
    <p class="first-event-test">
      <button type="button" class="button button-main" onClick={() => void send()}>
        <Icon name="send" />
        Send a test event
      </button>
      <span role="status">{outcome}</span>
    </p>
  );
}
