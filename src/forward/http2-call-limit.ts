/**
 * How many calls may be in flight on an HTTP/2 connection: none before the destination's SETTINGS have come, then as
 * many as they allow, but at first no more than the destination is known to serve. Each of these waits has a time
 * limit.
 */
import { Timer, type TimerOwner } from "../memory/deadlines.ts";
import type { Destination } from "./destination.ts";

/** The most calls in flight on a connection, even if the destination allows more. */
export const CALLS_IN_FLIGHT_MAX = 256;
/** The time until one more call may begin on a connection that has responded to few. */
const PROBATION_MS = 1000;

/** Hears about the limit of one connection. */
export interface CallLimitOwner {
  /** Calls may be begun, or more than before. */
  ready(): void;
  /** The destination's SETTINGS have not come within this time. */
  settingsMissed(timeoutMs: number): void;
  /** The destination has not allowed any call for as long as a response may take. */
  allowedNone(): void;
}

/** The limit of one connection's calls. */
export class CallLimit implements TimerOwner {
  /** The destination's SETTINGS have come. */
  isReady = false;
  private callsMax = CALLS_IN_FLIGHT_MAX;
  /** Calls wait, and the destination allows none. */
  private isStarved = false;
  /** Calls wait, and the timer runs until one more may begin. */
  private isOnProbation = false;
  private readonly timer = new Timer(this);

  constructor(
    private readonly owner: CallLimitOwner,
    private readonly destination: Destination,
    private readonly settingsTimeoutMs: number,
    /**
     * The most calls in flight before the first response; later, the number of responses is the limit. Some calls last
     * long, so the limit grows with time.
     */
    private firstCallsMax: number,
  ) {}

  /** Whether another call may be begun beside `inFlight` ones, after `responded` whole responses. */
  allows(inFlight: number, responded: number): boolean {
    return this.isReady && inFlight < Math.min(this.callsMax, Math.max(this.firstCallsMax, responded));
  }

  /** The connection is open: its SETTINGS are awaited. */
  awaitSettings(): void {
    this.expireIn(this.settingsTimeoutMs);
  }

  /** The first SETTINGS have come. */
  settled(): void {
    this.isReady = true;
    this.end();
  }

  /** The destination's SETTINGS allow this many calls from now on. */
  set(callsMax: number): void {
    this.callsMax = Math.min(callsMax, CALLS_IN_FLIGHT_MAX);
    if (callsMax === 0 || !this.isStarved) return;
    this.isStarved = false;
    this.isOnProbation = false;
    this.destination.deadlines.clear(this.timer);
  }

  /** Calls wait. The wait has a time limit if the destination allows no call, or has responded to few. */
  await(): void {
    if (!this.isReady) return;
    if (this.callsMax === 0 && !this.isStarved) {
      this.isStarved = true;
      this.expireIn(this.settingsTimeoutMs);
    } else if (this.callsMax > 0 && this.firstCallsMax < CALLS_IN_FLIGHT_MAX && !this.isOnProbation) {
      this.isOnProbation = true;
      this.expireIn(PROBATION_MS);
    }
  }

  /** A wait has lasted too long (Deadlines). */
  expire(): void {
    const { isStarved, owner } = this;
    if (!this.isReady) {
      owner.settingsMissed(this.settingsTimeoutMs);
      return;
    }
    this.isStarved = false;
    this.isOnProbation = false;
    if (isStarved) {
      owner.allowedNone();
    } else {
      this.firstCallsMax++;
      owner.ready();
    }
  }

  /** Nothing is awaited any more. */
  end(): void {
    this.destination.deadlines.remove(this.timer);
  }

  private expireIn(ms: number): void {
    this.destination.deadlines.set(this.timer, this.destination.tickedMs + ms);
  }
}
