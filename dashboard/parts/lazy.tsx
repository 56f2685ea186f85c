import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";

/** A screen that is fetched when it is first shown. Failing to fetch it (a new version was deployed) is said, with a way out. */
export function lazy(load: () => Promise<FunctionComponent>): FunctionComponent {
  let loaded: FunctionComponent | null = null;
  return function Lazy() {
    const [state, setState] = useState<"loading" | "ready" | "failed">(loaded === null ? "loading" : "ready");
    useEffect(() => {
      const fetchScreen = async (): Promise<void> => {
        loaded ??= await load();
        setState("ready");
      };
      fetchScreen().catch(() => setState("failed"));
    }, []);
    if (state === "failed") {
      return (
        <section class="panel not-found">
          <p class="empty">This page could not be fetched. Reload to get the newest version.</p>
        </section>
      );
    }
    const Screen = loaded;
    return Screen === null ? <div class="page-loading" /> : <Screen />;
  };
}
