/**
 * Does the work for files a little at a time: the thread's other work (frames, responses, requests of other
 * destinations) comes between. To redact and write a request takes longer than to forward it.
 */

/** How long the work goes on at a time; the last job may take longer. */
export const SLICE_MS = 0.5;
/** The most bytes that wait: beyond it all work is done at once. */
export const SLICED_BYTES_MAX = 16 << 20;

interface Job {
  readonly bytes: number;
  readonly work: () => void;
}

export class Slices {
  private jobs: Job[] = [];
  private next = 0;
  private bytes = 0;

  constructor(
    private readonly now: () => number = () => performance.now(),
    private readonly later: (callback: () => void) => void = setImmediate,
  ) {}

  /** Adds work to be done later, in order. `bytes`: how many are held for it. */
  add(bytes: number, work: () => void): void {
    this.jobs.push({ bytes, work });
    this.bytes += bytes;
    if (this.bytes > SLICED_BYTES_MAX) this.finish();
    else if (this.jobs.length === 1) this.later(this.slice);
  }

  /** Does all work that is left. */
  finish(): void {
    this.workUntil(Infinity);
  }

  private readonly slice = (): void => {
    this.workUntil(this.now() + SLICE_MS);
    if (this.jobs.length > 0) this.later(this.slice);
  };

  private workUntil(endMs: number): void {
    const { jobs } = this;
    while (this.next < jobs.length) {
      const { bytes, work } = jobs[this.next++]!;
      this.bytes -= bytes;
      work();
      if (this.next < jobs.length && this.now() >= endMs) return;
    }
    jobs.length = 0;
    this.next = 0;
  }
}
