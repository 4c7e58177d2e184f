/**
 * Decides which requests are forwarded, by allow and deny, then the sample, then the rate; and changes their heads. It
 * sees requests as production saw them, before they are changed.
 */
import type { HeadView } from "../http/head-view.ts";
import type { Client } from "./client.ts";
import { HeadEditor, type HeadEdits } from "./head-edits.ts";
import { Rate, sharedRate } from "./rate.ts";
import { type Rule, Rules } from "./rules.ts";
import { type Sample, Sampler } from "./sample.ts";

/** The reasons why policy dropped a request; the request is neither damaged nor lost. */
export const POLICY_DROPS = [
  /** --allow or --deny. */
  "filtered",
  /** The request is not in the share of --sample. */
  "sampled_out",
  /** As many requests as --max-rate allows were forwarded in its second. */
  "rate_limit",
  /** The request had the mark of a mirrored request (--mark). */
  "loop",
  /** The request would have been forwarded (--dry-run). */
  "dry_run",
] as const;
/** One of {@link POLICY_DROPS}. */
export type PolicyDrop = (typeof POLICY_DROPS)[number];

/** The reasons why policy dropped a connection with requests that it cannot see. */
export const STREAM_DROPS = ["filtered", "sampled_out", "dry_run"] as const satisfies readonly PolicyDrop[];
/** One of {@link STREAM_DROPS}. */
export type StreamDrop = (typeof STREAM_DROPS)[number];

/** The options of policy, as plain data. */
export interface PolicyOptions {
  readonly allow: readonly Rule[];
  readonly deny: readonly Rule[];
  /** Null: all requests. */
  readonly sample: Sample | null;
  /** Requests a second; Infinity: no limit. */
  readonly maxRate: number;
  /** Null: heads are sent unchanged. */
  readonly headEdits: HeadEdits | null;
  readonly dryRun: boolean;
}

/** A decision of policy about a request. */
export interface Decision {
  /** Null: it is forwarded. */
  readonly drop: PolicyDrop | null;
  /** The flag or rule that has decided, in words. */
  readonly by: string;
}

const FORWARDED: Decision = { drop: null, by: "forwarded" };
const SAMPLED_OUT: Decision = { drop: "sampled_out", by: "--sample" };
const LOOP: Decision = { drop: "loop", by: "--mark" };
const DRY_RUN: Decision = { drop: "dry_run", by: "would be forwarded" };
/** The decision about a request that the rate has no room for. */
export const RATE_LIMIT: Decision = { drop: "rate_limit", by: "--max-rate" };

/**
 * The policy of a shard; null: no option asks for one. `shared`: the memory that the threads share ({@link
 * sharedRate}).
 */
export function policyOf(options: PolicyOptions, shared?: SharedArrayBuffer, random = Math.random): Policy | null {
  const { allow, deny, sample, maxRate, headEdits, dryRun } = options;
  const isIdle = allow.length + deny.length === 0 && sample === null && maxRate === Infinity && headEdits === null;
  return isIdle && !dryRun ? null : new Policy(options, shared, random);
}

/** The policy of one shard. */
export class Policy {
  private readonly rules: Rules | null;
  private readonly sampler: Sampler | null;
  private readonly rate: Rate | null;
  private readonly editor: HeadEditor | null;
  readonly isDryRun: boolean;

  constructor(options: PolicyOptions, shared = sharedRate(), random: () => number = Math.random) {
    const { allow, deny, sample, maxRate, headEdits, dryRun } = options;
    this.rules = allow.length + deny.length > 0 ? new Rules(allow, deny) : null;
    this.sampler = sample === null ? null : new Sampler(sample, random);
    this.rate = maxRate === Infinity ? null : new Rate(maxRate, shared);
    this.editor = headEdits === null ? null : new HeadEditor(headEdits);
    this.isDryRun = dryRun;
  }

  /** Whether policy has to read heads. */
  get readsHeads(): boolean {
    return this.rules !== null || this.sampler !== null || this.editor !== null || this.isDryRun;
  }

  /** Decides about a request by its head; {@link mayPass} decides about the rate. */
  decide(head: HeadView, client: Client): Decision {
    const by = this.rules?.against(head, client) ?? null;
    if (by !== null) return { drop: "filtered", by };
    if (this.sampler?.takes(head, client) === false) return SAMPLED_OUT;
    if (this.editor?.isLoop(head) === true) return LOOP;
    return this.isDryRun ? DRY_RUN : FORWARDED;
  }

  /** Decides about a connection with requests that policy cannot see. Null: the connection is forwarded. */
  decideStream(client: Client): StreamDrop | null {
    if (this.rules !== null && this.rules.againstStream(client) !== null) return "filtered";
    if (this.sampler?.takes(null, client) === false) return "sampled_out";
    return this.isDryRun ? "dry_run" : null;
  }

  /** The head with the edits; null: the head stays as it is. */
  edit(head: HeadView, client: Client): Uint8Array | null {
    return this.editor?.edit(head, client) ?? null;
  }

  /** Whether the rate has room for a request that is about to be forwarded. If so, the request is counted. */
  mayPass(nowMs: number): boolean {
    return this.rate === null || this.rate.take(nowMs);
  }

  /** Whether {@link mayPass} needs to know the time. */
  get hasRate(): boolean {
    return this.rate !== null;
  }
}
