import type { LeaseRequest, QuotaState, Refusal } from "../../core/flow/lease-messages.ts";
import { Pace } from "../../core/flow/pace.ts";
import type { AdmissionAnswer } from "../../core/flow/tenant-flow.ts";
import { OldDoor } from "./old-door.ts";
import { UnderWay } from "./under-way.ts";

/** Events a tenant may send from here between two reports without a lease: single posts then never wait for the controller. */
const UNLEASED_EVENTS = 1_000;
/** With a small quota it is this part of the quota's bucket. */
const UNLEASED_PART = 0.1;
/** Use is reported this long after the first request since the last report, ms; sooner under pressure … */
export const REPORT_EVERY_MS = 1_000;
/** … and as soon as so much was used: what an isolate lets in before it can hear that it is too much. */
export const REPORT_AT_EVENTS = 10_000;
const REPORT_AT_BYTES = 2_000_000;
/** A question silent for this long went down with its request, ms; a series of reports too. */
const REPORT_TIMEOUT_MS = 5_000;
/** What the controller last said is trusted this long without asking again, ms. */
const TRUST_MS = 10_000;
/** A refusal is repeated from memory at most this long, ms. */
const REFUSAL_MS = 1_000;
/** No event has fewer bytes of JSON. */
const MIN_EVENT_BYTES = 50;
/** A lease asks for this many times what the last report used, and for no less than one early report holds. */
const LEASE_FACTOR = 4;

const OLD_MESSAGE = "events of more than an hour ago come as fast as newer ones leave room for";

/** A report of what was done since the last one. */
type Report = LeaseRequest & Required<Pick<LeaseRequest, "requests">>;

/** What one isolate knows of one tenant, and what follows from it for the next request. Times are epoch ms. */
export class TenantQuota {
  /** How late a timer fired that was set with the last report, ms; null when none was. */
  lagMs: number | null = null;
  /** Last sign of life of the series of reports under way; null when there is none. */
  reportingAtMs: number | null = null;
  readonly #pace = new Pace();
  readonly #underWay = new UnderWay();
  readonly #old = new OldDoor();
  /** Leased and not used; below 0 by what was used without or beyond a lease since the last answer. */
  #remaining = 0;
  #remainingBytes = 0;
  #expiresAtMs = 0;
  /** What was done since the last report. */
  #events = 0;
  #bytes = 0;
  #admitted = 0;
  #refused = 0;
  /** Of those refused, the ones because of the rate. */
  #paced = 0;
  /** What the controller last said; null before its first answer. */
  #state: QuotaState | null = null;
  #refusal: Refusal | null = null;
  #reportEveryMs = REPORT_EVERY_MS;
  /** When it last answered, or could not be reached. */
  #heardAtMs = Number.NEGATIVE_INFINITY;
  /** When it was last asked, if it has not answered yet. */
  #askedAtMs: number | null = null;

  get heardAtMs(): number {
    return this.#heardAtMs;
  }

  /** Whether the controller wants to hear more often than it does from a tenant that keeps to its quota. */
  get isPressed(): boolean {
    return this.#reportEveryMs < REPORT_EVERY_MS;
  }

  /** Whether anything is to be reported. */
  get hasUse(): boolean {
    return this.#events > 0 || this.#admitted > 0 || this.#refused > 0;
  }

  /** Whether the controller must be asked before the next request: what is known neither refuses it nor covers it. */
  mustAsk(nowMs: number): boolean {
    const isRefusalFresh = this.#refusal !== null && nowMs < this.#heardAtMs + REFUSAL_MS;
    return !isRefusalFresh && !this.#isCovered(nowMs);
  }

  /** Lets a request in, or not. @param bodyBytes of its JSON, null when it does not say @returns null when it is in */
  enter(bodyBytes: number | null, nowMs: number): Refusal | null {
    const refusal = this.#refusal ?? (this.#isRoom(nowMs) ? null : this.#congested(nowMs));
    if (refusal === null) {
      this.#admitted++;
      this.#underWay.entered(this.#believedEvents(bodyBytes), nowMs);
    } else this.#refused++;
    if (refusal?.reason === "congested") this.#paced++;
    return refusal;
  }

  /**
   * A request that was let in has only events of long ago: it waits until some of them may come.
   * @param isBegun some of the request's events have come before
   * @returns how many may, by now; a refusal when none may, and then the request is counted as refused unless it had begun
   */
  async enterOld(
    events: number,
    isBegun: boolean,
    sleep: (ms: number) => Promise<void>,
    now: () => number,
  ): Promise<Refusal | number> {
    // What waits is not under way: it must not keep others out.
    this.#underWay.left();
    const taken = await this.#old.enter(events, isBegun, sleep, now);
    this.#underWay.entered(events, now());
    if (taken > 0) return taken;
    const refusal = {
      ...this.#congested(now()),
      message: OLD_MESSAGE,
      retryAfterSeconds: this.#old.retryAfterSeconds(),
    };
    if (isBegun) return refusal;
    this.#pace.leave();
    this.#admitted--;
    this.#refused++;
    return refusal;
  }

  /** A request that was let in has been answered. */
  left(): void {
    this.#underWay.left();
  }

  /** Books what a request put on the queue. */
  settle(events: number, bytes: number): void {
    this.#remaining -= events;
    this.#remainingBytes -= bytes;
    this.#events += events;
    this.#bytes += bytes;
    this.#pace.settle(events);
  }

  /** Figures for the rate limit headers, with what was used since; null when the controller was never reached. */
  get state(): QuotaState | null {
    if (this.#state === null) return null;
    const { limit, remaining, resetAtMs } = this.#state;
    const left = Math.min(remaining + this.#remaining, this.#pace.available);
    return { limit, remaining: Math.min(limit, Math.max(0, Math.floor(left))), resetAtMs };
  }

  /** Whether to report at once: much was done, or the last word is old under pressure. */
  isReportDue(nowMs: number): boolean {
    const isMuch = this.#events >= REPORT_AT_EVENTS || this.#bytes >= REPORT_AT_BYTES;
    const isStale = this.isPressed && nowMs >= this.#heardAtMs + this.#reportEveryMs;
    return (isMuch || isStale) && !isUnderWay(this.#askedAtMs, nowMs);
  }

  /** Whether somebody reports in the background. */
  isReporting(nowMs: number): boolean {
    return isUnderWay(this.reportingAtMs, nowMs);
  }

  /** Takes out what is to be reported; it is settled by `hear` or `giveBack`. */
  takeReport(isolate: string, nowMs: number): Report {
    const report = {
      isolate,
      used: { events: this.#events, bytes: this.#bytes },
      requests: { admitted: this.#admitted, refused: this.#refused, paced: this.#paced },
      ...(this.lagMs === null ? {} : { lagMs: this.lagMs }),
      ...this.#old.takeUse(),
      want: this.#wanted(nowMs),
    };
    this.#events = this.#bytes = this.#admitted = this.#refused = this.#paced = 0;
    this.lagMs = null;
    this.#askedAtMs = nowMs;
    return report;
  }

  /** Takes in what the controller answered. */
  hear(answer: AdmissionAnswer, { want }: Report, nowMs: number): void {
    this.#answered(nowMs);
    this.#state = answer;
    this.#refusal = answer.refused ? answer : null;
    this.#remaining = want === 0 ? 0 : this.#leased(nowMs);
    this.#pace.set(answer.rate.ratePerSecond, nowMs);
    this.#old.setRate(answer.rate.oldPerSecond, nowMs);
    this.#reportEveryMs = answer.rate.reportEveryMs;
    if (answer.refused) return;
    this.#remaining += answer.granted;
    this.#remainingBytes = answer.grantedBytes;
    this.#expiresAtMs = answer.expiresAtMs;
  }

  /** The controller could not be reached: what was to be reported is not lost, only reported later. */
  giveBack({ used, requests, old }: Report, nowMs: number): void {
    this.#answered(nowMs);
    this.#old.giveBack(old);
    this.#events += used.events;
    this.#bytes += used.bytes;
    this.#admitted += requests.admitted;
    this.#refused += requests.refused;
    this.#paced += requests.paced;
  }

  #answered(nowMs: number): void {
    this.#askedAtMs = null;
    this.#heardAtMs = nowMs;
  }

  #isCovered(nowMs: number): boolean {
    if (this.#refusal !== null || nowMs >= this.#heardAtMs + TRUST_MS) return false;
    return this.#leased(nowMs) > 0 || this.#events < this.#allowance;
  }

  #isRoom(nowMs: number): boolean {
    return !this.#underWay.isFull(nowMs) && this.#pace.enter(nowMs);
  }

  /** As many as the tenant's last requests held, but no more than fit. */
  #believedEvents(bodyBytes: number | null): number {
    const most = bodyBytes === null ? Infinity : Math.max(1, bodyBytes / MIN_EVENT_BYTES);
    return Math.min(this.#pace.perRequest, most);
  }

  /** Events to ask for; 0 when the allowance is enough for what the tenant sends. */
  #wanted(nowMs: number): number {
    if (this.#paced === 0 && this.#events < this.#allowance) return 0;
    return Math.max(1, Math.max(REPORT_AT_EVENTS, this.#events * LEASE_FACTOR) - this.#leased(nowMs));
  }

  /** Events that may be used now without asking; ≥ 0. */
  #leased(nowMs: number): number {
    return nowMs < this.#expiresAtMs && this.#remainingBytes > 0 ? Math.max(0, this.#remaining) : 0;
  }

  /** Events that may be used between two reports without a lease. */
  get #allowance(): number {
    return Math.min(UNLEASED_EVENTS, (this.#state?.limit ?? UNLEASED_EVENTS) * UNLEASED_PART);
  }

  /** The refusal of a request for which the rate has no room. */
  #congested(nowMs: number): Refusal {
    return {
      refused: true,
      reason: "congested",
      message: "more events come than are processed",
      limit: this.#state?.limit ?? 0,
      remaining: 0,
      resetAtMs: this.#state?.resetAtMs ?? nowMs,
      retryAfterSeconds: this.#pace.retryAfterSeconds(),
    };
  }
}

function isUnderWay(sinceMs: number | null, nowMs: number): boolean {
  return sinceMs !== null && nowMs < sinceMs + REPORT_TIMEOUT_MS;
}
