/**
 * The findings of a dry run: for each flag or rule that has decided, the number of requests and the first few of them.
 */
import type { HeadView } from "../http/head-view.ts";

/** The most examples that are kept of one decider. */
const EXAMPLES_MAX = 3;
const EXAMPLE_CHARS_MAX = 60;
/** The most deciders: each is a flag or a rule, and there are only a few rules. */
const DECIDERS_MAX = 1000;

export interface Verdict {
  readonly by: string;
  count: number;
  readonly examples: string[];
}

export class DryRun {
  private readonly verdicts = new Map<string, Verdict>();

  /** Counts one request. */
  count(by: string, example: string): void {
    let verdict = this.verdicts.get(by);
    if (verdict === undefined) {
      if (this.verdicts.size === DECIDERS_MAX) return;
      verdict = { by, count: 0, examples: [] };
      this.verdicts.set(by, verdict);
    }
    verdict.count++;
    const { examples } = verdict;
    if (examples.length < EXAMPLES_MAX && !examples.includes(example)) examples.push(example);
  }

  /** The most frequent first. */
  get results(): readonly Verdict[] {
    return [...this.verdicts.values()].sort((one, other) => other.count - one.count);
  }
}

/** A request in a few words, without its query, which may hold secrets. */
export function exampleOf(head: HeadView): string {
  const text = `${head.method} ${head.target.slice(0, head.pathTo)}`.replace(/[^\x20-\x7e]/g, "?");
  return text.length > EXAMPLE_CHARS_MAX ? `${text.slice(0, EXAMPLE_CHARS_MAX)}…` : text;
}
