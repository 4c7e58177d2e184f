/**
 * Counts times in buckets that are narrow enough to show a millisecond in half a second: 256 buckets from each power of
 * two to the next. Only buckets that are not empty take memory.
 */

const BUCKET_BITS = 8;
const BUCKETS_PER_OCTAVE = 2 ** BUCKET_BITS;

/** A number in IEEE 754's form: its exponent and the first bits of its mantissa are its bucket. */
const number = new Float64Array(1);
const words = new Uint32Array(number.buffer);
/** The index of a double's high word: x64 and arm64 are little-endian. */
const HIGH_WORD = 1;
/** How many bits of the mantissa are in the high word. */
const MANTISSA_BITS = 20;
const EXPONENT_BIAS = 1023;
/** Shorter times count as this one. */
export const TIME_MS_MIN = 2 ** -7;
/** Longer times count as this one, which is more than a day. */
export const TIME_MS_MAX = 2 ** 27;

/** Counts by bucket: plain data, because it goes from thread to thread. */
export type LatencyHistogram = Map<number, number>;

/** Counts one time, in milliseconds. */
export function countLatency(histogram: LatencyHistogram, timeMs: number): void {
  number[0] = Math.min(Math.max(timeMs, TIME_MS_MIN), TIME_MS_MAX);
  const bucket = (words[HIGH_WORD]! >>> (MANTISSA_BITS - BUCKET_BITS)) - EXPONENT_BIAS * BUCKETS_PER_OCTAVE;
  histogram.set(bucket, (histogram.get(bucket) ?? 0) + 1);
}

/** The middle of a bucket, in milliseconds. */
function timeOf(bucket: number): number {
  const exponent = Math.floor(bucket / BUCKETS_PER_OCTAVE);
  return 2 ** exponent * (1 + (bucket - exponent * BUCKETS_PER_OCTAVE + 0.5) / BUCKETS_PER_OCTAVE);
}

/** Adds the counts of one histogram to another. */
export function addLatencies(sum: LatencyHistogram, part: LatencyHistogram): void {
  for (const [bucket, count] of part) sum.set(bucket, (sum.get(bucket) ?? 0) + count);
}

/** The times that 50, 90 and 99 percent do not exceed, in milliseconds; null: no times were counted. */
export interface Quantiles {
  readonly p50_ms: number | null;
  readonly p90_ms: number | null;
  readonly p99_ms: number | null;
}

/** The quantiles of a histogram. */
export function quantilesOf(histogram: LatencyHistogram): Quantiles {
  const quantile = quantileIn(histogram);
  return { p50_ms: quantile(0.5), p90_ms: quantile(0.9), p99_ms: quantile(0.99) };
}

/** How many steps a curve has. */
const CURVE_STEPS = 20;

/** The times that 5, 10, … 100 percent do not exceed, in milliseconds; empty: no times were counted. */
export function curveOf(histogram: LatencyHistogram): number[] {
  const quantile = quantileIn(histogram);
  const times = Array.from({ length: CURVE_STEPS }, (_, i) => quantile((i + 1) / CURVE_STEPS));
  return times.filter((timeMs) => timeMs !== null);
}

function quantileIn(histogram: LatencyHistogram): (share: number) => number | null {
  const buckets = [...histogram].sort(([a], [b]) => a - b);
  const total = buckets.reduce((sum, [, count]) => sum + count, 0);
  return (share) => {
    let left = share * total;
    for (const [bucket, count] of buckets) if ((left -= count) <= 0) return rounded(timeOf(bucket));
    return null;
  };
}

function rounded(timeMs: number): number {
  return Math.round(timeMs * 1000) / 1000;
}

/** The counts up to each of `boundsMs`, cumulated as metrics have them, and then the count of all. */
export function cumulated(histogram: LatencyHistogram, boundsMs: readonly number[]): number[] {
  const counts = new Array<number>(boundsMs.length + 1).fill(0);
  for (const [bucket, count] of histogram) {
    const time = timeOf(bucket);
    for (let i = 0; i < boundsMs.length; i++) if (time <= boundsMs[i]!) counts[i]! += count;
    counts[boundsMs.length]! += count;
  }
  return counts;
}

/** The sum of all times in milliseconds, as if each were in the middle of its bucket: exact to 0.2 %. */
export function sumOfTimes(histogram: LatencyHistogram): number {
  let sumMs = 0;
  for (const [bucket, count] of histogram) sumMs += timeOf(bucket) * count;
  return sumMs;
}
