/**
 * The findings of a dry run: for each flag or rule that has decided, the number of requests and the first few of them.
 */
import type { HeadView } from "../http/head-view.ts";

/** The most examples that are kept of one decider. */
export const EXAMPLES_MAX = 3;
/** The longest example; a longer one is cut. */
export const EXAMPLE_CHARS_MAX = 60;
/** The most deciders that are told apart, each a flag or a rule; those beyond count as one more. */
export const DECIDERS_MAX = 1000;
/** Stands for all deciders beyond {@link DECIDERS_MAX}. */
export const OTHER_DECIDERS = "further rules";

/** The requests of one decider. */
export interface Verdict {
  readonly by: string;
  count: number;
  readonly examples: string[];
}

/** The findings of a dry run in one shard. */
export class DryRun {
  private readonly verdicts = new Map<string, Verdict>();

  /** Counts one request. */
  count(by: string, example: string): void {
    const verdict = this.verdicts.get(by) ?? this.newVerdict(by);
    verdict.count++;
    const { examples } = verdict;
    if (examples.length < EXAMPLES_MAX && !examples.includes(example)) examples.push(example);
  }

  private newVerdict(decider: string): Verdict {
    const by = this.verdicts.size < DECIDERS_MAX ? decider : OTHER_DECIDERS;
    const verdict = this.verdicts.get(by) ?? { by, count: 0, examples: [] };
    this.verdicts.set(by, verdict);
    return verdict;
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
