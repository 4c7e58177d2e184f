/** The counters of decode. Each frame ends as a segment or under one reason. */
import { DROP_REASONS } from "./drop-reason.ts";

/** `dropped`: in the order of DROP_REASONS. */
export const frameCounters = () => ({
  captured: 0,
  /** Frames that the kernel or the interface dropped before they were read; not in `captured`. */
  kernel_dropped: 0,
  segments: 0,
  /** Segments with an end that the mirror cut off. */
  truncated: 0,
  dropped: DROP_REASONS.map(() => 0),
});

/** New counters of IP fragments, all zero. */
export const fragmentCounters = () => ({
  /** Datagrams put together. */
  completed: 0,
  /** Datagrams given up after FRAGMENT_TIMEOUT_MS, or with fragments of others that have the same identification. */
  expired: 0,
  /** Datagrams given up because the table was full. */
  evicted: 0,
});

/** The counters of IP fragments. */
export type FragmentCounters = ReturnType<typeof fragmentCounters>;

/** The counters of decode. */
export interface DecodeCounters {
  readonly frames: ReturnType<typeof frameCounters>;
  readonly fragments: FragmentCounters;
}
