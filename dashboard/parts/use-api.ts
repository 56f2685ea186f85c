import { useEffect, useState } from "preact/hooks";
import { type ApiFailure, failureOf } from "../session/api.ts";
import { ask } from "../session/session.ts";

/** What the API says, kept fresh. */
export interface Answer<T> {
  /** The newest good answer; null before the first. */
  readonly data: T | null;
  /** Why the newest request failed; null when it did not. */
  readonly failure: ApiFailure | null;
  /** Ask again now. */
  readonly again: () => void;
}

/** Ask the API when the page is shown, and then every `everyMs`. @param decode must not change between renders */
export function useApi<T>(path: string, decode: (data: unknown) => T, everyMs: number): Answer<T> {
  const [data, setData] = useState<T | null>(null);
  const [failure, setFailure] = useState<ApiFailure | null>(null);
  const [round, setRound] = useState(0);
  useEffect(() => {
    let gone = false;
    const fetchOnce = async (): Promise<void> => {
      try {
        const answer = decode(await ask({ method: "GET", path }));
        if (gone) return;
        setData(answer);
        setFailure(null);
      } catch (thrown) {
        if (!gone) setFailure(failureOf(thrown));
      }
    };
    void fetchOnce();
    const timer = setInterval(() => void fetchOnce(), everyMs);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [path, decode, everyMs, round]);
  return { data, failure, again: () => setRound(round + 1) };
}
