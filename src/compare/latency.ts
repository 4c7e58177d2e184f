/**
 * Times, counted in buckets that are narrow enough for a millisecond to be seen in half a second: 256 of them from each
 * power of two to the next. Only those that are not empty take room.
 */

const BUCKET_BITS = 8;
const BUCKETS_PER_OCTAVE = 2 ** BUCKET_BITS;

/** A number as IEEE 754 has it: its exponent and the first bits of its mantissa are its bucket. */
const number = new Float64Array(1);
const words = new Uint32Array(number.buffer);
/** Both processors that this runs on are little-endian. */
const HIGH_WORD = 1;
/** Of the mantissa, those in the high word. */
const MANTISSA_BITS = 20;
const EXPONENT_BIAS = 1023;
/** What is shorter counts as this. */
const TIME_MS_MIN = 2 ** -7;
/** What is longer counts as this: more than a day. */
const TIME_MS_MAX = 2 ** 27;

/** Counts by bucket: plain data, for it goes from thread to thread. */
export type LatencyHistogram = Map<number, number>;

export function countLatency(histogram: LatencyHistogram, timeMs: number): void {
  number[0] = Math.min(Math.max(timeMs, TIME_MS_MIN), TIME_MS_MAX);
  const bucket = (words[HIGH_WORD]! >>> (MANTISSA_BITS - BUCKET_BITS)) - EXPONENT_BIAS * BUCKETS_PER_OCTAVE;
  histogram.set(bucket, (histogram.get(bucket) ?? 0) + 1);
}

/** The middle of a bucket. */
function timeOf(bucket: number): number {
  const exponent = Math.floor(bucket / BUCKETS_PER_OCTAVE);
  return 2 ** exponent * (1 + (bucket - exponent * BUCKETS_PER_OCTAVE + 0.5) / BUCKETS_PER_OCTAVE);
}

export function addLatencies(sum: LatencyHistogram, part: LatencyHistogram): void {
  for (const [bucket, count] of part) sum.set(bucket, (sum.get(bucket) ?? 0) + count);
}

/** Times that so many percent do not exceed, in milliseconds; null: there are none. */
export interface Quantiles {
  readonly p50_ms: number | null;
  readonly p90_ms: number | null;
  readonly p99_ms: number | null;
}

export function quantilesOf(histogram: LatencyHistogram): Quantiles {
  const quantile = quantileIn(histogram);
  return { p50_ms: quantile(0.5), p90_ms: quantile(0.9), p99_ms: quantile(0.99) };
}

/** Steps of a curve. */
const CURVE_STEPS = 20;

/** Times that 5, 10, … 100 percent do not exceed, in milliseconds; empty: there are none. */
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

/** The counts within each of `boundsMs`, cumulated, as metrics have them; and of all. */
export function cumulated(histogram: LatencyHistogram, boundsMs: readonly number[]): number[] {
  const counts = new Array<number>(boundsMs.length + 1).fill(0);
  for (const [bucket, count] of histogram) {
    const time = timeOf(bucket);
    for (let i = 0; i < boundsMs.length; i++) if (time <= boundsMs[i]!) counts[i]! += count;
    counts[boundsMs.length]! += count;
  }
  return counts;
}

/** All of them together, as if each were in the middle of its bucket: within 0.2 %. */
export function sumOfTimes(histogram: LatencyHistogram): number {
  let sumMs = 0;
  for (const [bucket, count] of histogram) sumMs += timeOf(bucket) * count;
  return sumMs;
}
