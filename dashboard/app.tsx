import type { FunctionComponent } from "preact";
import { AlertAnnouncer } from "./parts/alert-announcer.tsx";
import { ConnectionBadge } from "./parts/connection-badge.tsx";
import { Freshness } from "./parts/freshness.tsx";
import { Icon, type IconName } from "./parts/icon.tsx";
import { lazy } from "./parts/lazy.tsx";
import { ThemeToggle } from "./parts/theme-toggle.tsx";
import { Wordmark } from "./parts/wordmark.tsx";
import { Link, path } from "./router.tsx";
import { Login } from "./screens/login.tsx";
import { NotFound } from "./screens/not-found.tsx";
import { Overview } from "./screens/overview.tsx";
import { openAlerts, openCount } from "./stores/alerts.ts";
import { session, signOut } from "./session/session.ts";

interface Screen {
  readonly to: string;
  readonly name: string;
  readonly icon: IconName;
  readonly show: FunctionComponent;
}

const Alerts = lazy(async () => (await import("./screens/alerts.tsx")).Alerts);
const Rules = lazy(async () => (await import("./screens/rules.tsx")).Rules);
const Channels = lazy(async () => (await import("./screens/channels.tsx")).Channels);
const System = lazy(async () => (await import("./screens/system.tsx")).System);
const Aggregations = lazy(async () => (await import("./screens/aggregations.tsx")).Aggregations);

/** Every screen there is; a new one is one more line. A screen also owns the paths below its own. */
const SCREENS: readonly Screen[] = [
  { to: "/", name: "Overview", icon: "overview", show: Overview },
  { to: "/alerts", name: "Alerts", icon: "alerts", show: Alerts },
  { to: "/rules", name: "Rules", icon: "rules", show: Rules },
  { to: "/channels", name: "Channels", icon: "send", show: Channels },
  { to: "/aggregations", name: "Aggregations", icon: "aggregations", show: Aggregations },
  { to: "/system", name: "System", icon: "system", show: System },
];

function owns({ to }: Screen, at: string): boolean {
  return at === to || (to !== "/" && at.startsWith(`${to}/`));
}

/** The whole page. */
export function App() {
  return session.value.is === "signed_in" ? <Shell /> : <Login />;
}

function Shell() {
  const screen = SCREENS.find((one) => owns(one, path.value));
  const Show = screen?.show ?? NotFound;
  const who = session.value;
  return (
    <div class="shell">
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <header class="rail">
        <Wordmark />
        <nav class="tabs" aria-label="Screens">
          {SCREENS.map(({ to, name, icon }) => (
            <Link key={to} to={to} class="tab" current={to === screen?.to}>
              <Icon name={icon} />
              <span>{name}</span>
              {to === "/alerts" && openAlerts.value.length > 0 && <span class="count">{openCount.value}</span>}
            </Link>
          ))}
        </nav>
        <div class="rail-foot">
          {who.is === "signed_in" && (
            <p class="who" title={`Signed in with the role ${who.role}`}>
              <span>{who.tenant}</span> {who.role}
            </p>
          )}
          <ThemeToggle />
          <button type="button" class="button button-quiet" onClick={() => signOut()}>
            <Icon name="sign-out" />
            <span class="wide-only">Sign out</span>
          </button>
        </div>
      </header>
      <AlertAnnouncer />
      <main id="content" class="content" tabIndex={-1}>
        <header class="page-head">
          <div>
            <h1>{screen?.name ?? "Not found"}</h1>
            <Freshness />
          </div>
          <ConnectionBadge />
        </header>
        <Show />
      </main>
    </div>
  );
}
