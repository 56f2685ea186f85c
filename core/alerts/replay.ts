// Rules over windows that are given one after the other, by the code that evaluates them live.
import type { ClosedWindow } from "../windows/window-json.ts";
import { awaitsTime, EMPTY_STATE, NO_INSTANCES, takeWindow } from "./aggregation-rules.ts";
import type { RuleTransition, Trouble } from "./aggregation-rules.ts";
import type { EndReason } from "./alert.ts";
import type { RuleLogic } from "./evaluate.ts";
import type { Group, Values, WindowTime } from "./group.ts";
import type { Instances } from "./instance.ts";
import { MAX_OPEN_PER_TENANT } from "./limits.ts";

/** An alert that would have been. Times are ends of windows, epoch ms. */
export interface ReplayedAlert {
  readonly id: string;
  readonly ruleId: string;
  readonly group: Group;
  readonly isNoData: boolean;
  readonly openedAt: number;
  /** Null when it never fired. */
  readonly firedAt: number | null;
  /** Null when it was open at the end. */
  readonly endedAt: number | null;
  readonly reason: EndReason | null;
  /** The window that made it fire, else the one that opened it, and its values. */
  readonly window: WindowTime;
  readonly values: Values;
}

const NO_TROUBLE: Trouble = { errors: 0, lastError: null, refused: 0 };

/** The rules of one aggregation and what came of them. Begins as if they had just been made. */
export class Replay {
  readonly #rules: readonly RuleLogic[];
  readonly #alerts = new Map<string, ReplayedAlert>();
  #state = EMPTY_STATE;
  #nextId = 0;

  constructor(rules: readonly RuleLogic[]) {
    this.#rules = rules;
  }

  /** In the order in which they opened. */
  get alerts(): ReplayedAlert[] {
    return [...this.#alerts.values()];
  }

  /** Whether windows without events matter now. */
  get awaitsTime(): boolean {
    return awaitsTime(this.#rules, this.#state);
  }

  /** Open alerts of a rule. */
  open(ruleId: string): Instances {
    return this.#state.instances.get(ruleId) ?? NO_INSTANCES;
  }

  trouble(ruleId: string): Trouble {
    return this.#state.troubles.get(ruleId) ?? NO_TROUBLE;
  }

  /** Takes the next window; one without groups is a time without events. */
  take(window: ClosedWindow): void {
    const newId = (): string => String(this.#nextId++);
    const step = takeWindow(this.#rules, this.#state, window, { newId, room: MAX_OPEN_PER_TENANT });
    this.#state = step.state;
    for (const transition of step.transitions) this.#note(transition);
  }

  #note({ ruleId, kind, reason, instance, window, values }: RuleTransition): void {
    const { alertId: id, group } = instance;
    const at = window.end;
    const known = this.#alerts.get(id) ?? {
      id,
      ruleId,
      group,
      isNoData: instance.kind === "no_data",
      openedAt: at,
      firedAt: null,
      endedAt: null,
      reason: null,
      window,
      values,
    };
    if (kind === "pending") this.#alerts.set(id, known);
    else if (kind === "firing") this.#alerts.set(id, { ...known, firedAt: at, window, values });
    else this.#alerts.set(id, { ...known, endedAt: at, reason });
  }
}
