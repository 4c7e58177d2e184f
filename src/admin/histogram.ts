/** Histograms in the form of the summary: `le_2.5_ms` is the number of times in that bucket, and in no smaller one. */

/** The buckets' upper bounds in milliseconds; the last is Infinity. */
export function boundsOf(buckets: Readonly<Record<string, number>>): number[] {
  return Object.keys(buckets).map((name) => {
    const [, bound] = /^le_(.+)_ms$/.exec(name)!;
    return bound === "inf" ? Infinity : Number(bound);
  });
}

/**
 * The time that a share of the times did not exceed, as if the times in each bucket were spread evenly; beyond the last
 * bound, that bound. Null: there are no times.
 */
export function percentile(share: number, boundsMs: readonly number[], counts: readonly number[]): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let left = share * total;
  for (const [i, count] of counts.entries()) {
    const [low, high] = [boundsMs[i - 1] ?? 0, boundsMs[i]!];
    if (left <= count && count > 0) return high === Infinity ? low : low + (high - low) * (left / count);
    left -= count;
  }
  return boundsMs.at(-2)!;
}
