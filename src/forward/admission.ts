/** Asks policy about requests of all versions of HTTP, and counts those that it does not forward. */
import type { StreamOrigin } from "../flow/stream.ts";
import { addressGroups, versionOf } from "../http/client-address.ts";
import { HeadView } from "../http/head-view.ts";
import { Client } from "../policy/client.ts";
import { exampleOf } from "../policy/dry-run.ts";
import { type Decision, type Policy, RATE_LIMIT } from "../policy/policy.ts";
import type { RequestDrop } from "./counters.ts";
import type { RequestHost } from "./request-host.ts";

/** Policy's decision about a request. */
export interface Judgement {
  readonly decision: Decision;
  /** The request in a few words, for a dry run. */
  readonly example: string;
  /** The request's target, as production saw it. */
  readonly target: string;
  /** The head with the edits; null: it stays as it is, or is not forwarded. */
  readonly edited: Uint8Array | null;
}

/** The client of a connection. `told`: its address by a PROXY protocol header; null: there was none. */
export function clientOf({ identity }: StreamOrigin, told: string | null): Client {
  return told === null ? new Client(identity) : new Client(identity, addressGroups(told, versionOf(told))!);
}

/** Asks policy about a head. `head`: from the request line to the empty line, as Latin-1. */
export function judge(host: RequestHost, policy: Policy, client: Client, head: string): Judgement {
  const view = new HeadView(head);
  const decision = policy.decide(view, client);
  const example = host.dryRun === null ? "" : exampleOf(view);
  const { target } = view;
  return { decision, example, target, edited: decision.drop === null ? policy.edit(view, client) : null };
}

/** Whether --max-rate has room for a request that is about to be forwarded. If so, the request is counted. */
export function mayPass(host: RequestHost, timestampMs: number): boolean {
  const { policy } = host.options;
  return policy === null || !policy.hasRate || policy.mayPass(host.rateMs(timestampMs));
}

/**
 * Counts a whole request that is dropped for `reason`. `judgement`: policy's, if it has looked at the request. In a dry
 * run, --max-rate is asked first ({@link ratedDrop}).
 */
export function countDropped(host: RequestHost, reason: RequestDrop, judgement: Judgement | null): void {
  const { dryRun, destination } = host;
  destination.counters.requests.dropped[reason]++;
  if (dryRun === null || judgement === null) return;
  dryRun.count((reason === "rate_limit" ? RATE_LIMIT : judgement.decision).by, judgement.example);
}

/** The final reason of a whole request that policy drops for `reason`: a dry run keeps to the rate, too. */
export function ratedDrop(host: RequestHost, reason: RequestDrop, timestampMs: number): RequestDrop {
  return reason === "dry_run" && !host.options.policy!.mayPass(host.rateMs(timestampMs)) ? "rate_limit" : reason;
}
