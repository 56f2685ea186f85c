import { useState } from "preact/hooks";
import { type ApiFailure, failureOf } from "../session/api.ts";

/** Something that can be done, and how the last try went. */
export interface Action {
  /** Runs it unless it is running. @returns whether it succeeded */
  readonly run: (work: () => Promise<unknown>) => Promise<boolean>;
  readonly isBusy: boolean;
  /** Why the last run failed; null when it did not. */
  readonly failure: ApiFailure | null;
}

/** Something a button does, with what came of it. */
export function useAction(): Action {
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState<ApiFailure | null>(null);
  const run = async (work: () => Promise<unknown>): Promise<boolean> => {
    if (isBusy) return false;
    setBusy(true);
    setFailure(null);
    try {
      await work();
      return true;
    } catch (thrown) {
      setFailure(failureOf(thrown));
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { run, isBusy, failure };
}
