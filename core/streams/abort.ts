import type { Operator } from "./source.ts";
import { operator } from "./stream.ts";

/** What is needed of an AbortSignal. */
export interface CancelSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** Ends the stream with the signal's reason as error when it is aborted: the source is closed at once, also while it is silent. */
export function abortable<T>(signal: CancelSignal): Operator<T, T> {
  return operator((input, scope) => {
    let rejectPull: ((reason: unknown) => void) | undefined;
    const abort = (): void => {
      scope.close();
      rejectPull?.(signal.reason);
    };
    signal.addEventListener("abort", abort);
    scope.onClose(() => signal.removeEventListener("abort", abort));
    return () =>
      new Promise((resolve, reject) => {
        rejectPull = reject;
        if (signal.aborted) abort();
        else input.next().then(resolve, reject);
      });
  });
}
