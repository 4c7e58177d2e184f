/**
 * Limits the requests a second of all threads together (--max-rate N). There is one place for each 1/N of a second, and
 * the threads share one number: the place of the last request. A request takes the next place, if that is not in the
 * future; a place that nobody takes for a while is lost. So the sum is N however uneven the threads' load is, and no
 * second begins with a burst.
 */

/** How long an unused place is kept: requests come in batches, and threads wait for their turn. */
export const BURST_MS = 200;
/** The places of this long a time are free when the first request comes: others may come with it. */
export const START_MS = 50;
/** At least this many places are kept: at a low rate, requests that come unevenly would leave most places empty. */
export const BURST_PLACES_MIN = 10;
/**
 * If time leaps this far, ahead or back, the places begin anew: a stamp was wrong, or the clock was set, or there was a
 * long silence.
 */
export const LEAP_MS = 10_000;

/** The memory that the threads share. It is made once a run. */
export function sharedRate(): SharedArrayBuffer {
  return new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
}

/** The rate of a run, in memory that its threads share. */
export class Rate {
  private readonly last: BigInt64Array;
  private readonly burst: bigint;
  /** Places that are kept when time begins. */
  private readonly first: bigint;
  private readonly leap: bigint;

  constructor(
    private readonly perSecond: number,
    shared: SharedArrayBuffer,
  ) {
    this.last = new BigInt64Array(shared);
    const inBurst = Math.ceil((perSecond * BURST_MS) / 1000);
    this.first = BigInt(Math.ceil((perSecond * START_MS) / 1000));
    this.burst = BigInt(Math.max(inBurst, Math.min(perSecond, BURST_PLACES_MIN)));
    this.leap = BigInt(Math.ceil((perSecond * LEAP_MS) / 1000));
  }

  /** Takes a place for a request at this time. False: no place is free. */
  take(nowMs: number): boolean {
    const now = BigInt(Math.floor((nowMs / 1000) * this.perSecond));
    for (;;) {
      const last = Atomics.load(this.last, 0);
      const next = this.placeBehind(last, now);
      if (next > now) return false;
      if (Atomics.compareExchange(this.last, 0, last, next) === last) return true;
    }
  }

  private placeBehind(last: bigint, now: bigint): bigint {
    if (now - last > this.leap || last - now > this.leap) return now - this.first + 1n;
    const oldest = now - this.burst;
    return (last > oldest ? last : oldest) + 1n;
  }
}
