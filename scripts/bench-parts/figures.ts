/** The measured figures: each with all its runs, as a table and as JSON. */
export interface Figure {
  /** The letter of the benchmark's part. */
  part: string;
  name: string;
  unit: string;
  /** One value a run. */
  runs: number[];
}

export class Figures {
  readonly all: Figure[] = [];
  /** The measurements that were left out, with reasons. */
  readonly leftOut: string[] = [];

  /** Adds a run's value to a figure; creates the figure if it is new. */
  add(part: string, name: string, unit: string, value: number): void {
    const found = this.all.find((figure) => figure.part === part && figure.name === name && figure.unit === unit);
    if (found !== undefined) found.runs.push(value);
    else this.all.push({ part, name, unit, runs: [value] });
  }

  leaveOut(what: string): void {
    this.leftOut.push(what);
    console.error(what);
  }

  /** As text; each part has its title first. */
  table(titles: Record<string, string>): string {
    const rows = this.all.map(({ part, name, unit, runs }) => ({
      part,
      cells: [name, show(median(runs)), `${show(Math.min(...runs))} – ${show(Math.max(...runs))}`, unit],
    }));
    const widths = [0, 1, 2].map((column) => Math.max(...rows.map(({ cells }) => [...cells[column]!].length), 0));
    const lines: string[] = [];
    for (const part of Object.keys(titles)) {
      const own = rows.filter((row) => row.part === part);
      if (own.length === 0) continue;
      lines.push("", `(${part}) ${titles[part]}`);
      for (const { cells } of own) {
        lines.push(
          `    ${cells[0]!.padEnd(widths[0]!)}  ${cells[1]!.padStart(widths[1]!)}  ${cells[2]!.padStart(widths[2]!)}  ${cells[3]}`,
        );
      }
    }
    return [...lines, "", ...this.leftOut].join("\n");
  }

  json(about: object): string {
    const figures = this.all.map((figure) => ({
      ...figure,
      median: median(figure.runs),
      min: Math.min(...figure.runs),
      max: Math.max(...figure.runs),
    }));
    return `${JSON.stringify({ ...about, figures, left_out: this.leftOut }, null, 2)}\n`;
  }
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Three significant digits, and no fraction from a thousand on. */
function show(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}

/**
 * The value below which a share of all values lies, from a histogram of upper bounds: a straight line is assumed within
 * a bucket. The last bucket has no upper bound, and gives its lower one.
 */
export function percentile(share: number, bounds: readonly number[], counts: readonly number[]): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  let left = share * total;
  for (const [bucket, count] of counts.entries()) {
    const lower = bounds[bucket - 1] ?? 0;
    const upper = bounds[bucket] ?? lower;
    if (left <= count) return count === 0 ? lower : lower + ((upper - lower) * left) / count;
    left -= count;
  }
  return bounds.at(-1)!;
}
