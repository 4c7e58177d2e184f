/** Finds the flags that a mistyped flag may stand for. */
import { flagTable, otherFlagTable } from "./flags.ts";

/** More names than this are no help. */
const NAMES_MAX = 3;
/** The number of wrong letters: one in a short name, two in others. */
const SHORT_CHARS_MAX = 4;
/** A longer text is no mistyped name. */
const CHARS_MAX = 40;

const names: readonly string[] = [...flagTable, ...otherFlagTable].map(([name]) => name);

/** The names that are nearly `written`, or begin with it; only the nearest ones. */
export function nearestFlags(written: string): string[] {
  const word = written.toLowerCase().replaceAll("_", "-");
  if (word === "" || word.length > CHARS_MAX) return [];
  const begun = names.filter((name) => name.startsWith(`${word}-`));
  const far = word.length > SHORT_CHARS_MAX ? 2 : 1;
  const distances = names.map((name) => distance(word, name));
  const least = Math.min(...distances);
  const near = least > far ? [] : names.filter((_, i) => distances[i] === least);
  const found = begun.length > 0 ? begun : near;
  return found.length > NAMES_MAX ? [] : found;
}

/** The number of letters that were added, left out, replaced, or exchanged with their neighbours. */
function distance(a: string, b: string): number {
  let [before, row]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      const isTurned = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (isSame ? 0 : 1));
      if (isTurned) next[j] = Math.min(next[j]!, before[j - 2]! + 1);
    }
    [before, row] = [row, next];
  }
  return row[b.length]!;
}
