import { effect } from "@preact/signals";
import { render } from "preact";
import { App } from "./app.tsx";
import { startClock } from "./live/clock.ts";
import { dropQueue } from "./live/delivery.ts";
import { connection } from "./live/connection-signal.ts";
import { startFeed, stopFeed, watchSurroundings } from "./live/feed.ts";
import { startRouter } from "./router.tsx";
import { takeKeyFromAddress } from "./session/fragment.ts";
import { session, signIn, signOut } from "./session/session.ts";
import { forgetAlerts, openAlerts } from "./stores/alerts.ts";
import { forgetChannels } from "./stores/channels.ts";
import { forgetEvents } from "./stores/events.ts";
import { forgetOverview } from "./stores/overview.ts";
import { startTheme } from "./theme.ts";

startTheme();
startClock();
startRouter();
watchSurroundings();

effect(() => {
  if (session.value.is === "signed_in") return startFeed();
  stopFeed();
  dropQueue();
  forgetOverview();
  forgetEvents();
  forgetAlerts();
  forgetChannels();
});

effect(() => {
  if (connection.value.phase === "refused") signOut("Your key is no longer valid. Sign in again.");
});

effect(() => {
  const open = openAlerts.value.length;
  document.title = open === 0 ? "StreamFlow" : `(${open}) StreamFlow`;
});

const key = takeKeyFromAddress();
if (key !== null) void signIn(key);

const root = document.getElementById("app");
if (root !== null) render(<App />, root);
