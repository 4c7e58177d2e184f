/** Asks policy about requests, whatever version of HTTP they are of, and counts what it does not forward. */
import type { StreamOrigin } from "../flow/stream.ts";
import { addressGroups } from "../http/client-address.ts";
import { HeadView } from "../http/head-view.ts";
import type { ProxyClient } from "../http/proxy-protocol.ts";
import type { RequestHead } from "../http/request-sink.ts";
import { Client } from "../policy/client.ts";
import { type DryRun, exampleOf } from "../policy/dry-run.ts";
import { type Decision, type Policy, RATE_LIMIT } from "../policy/policy.ts";
import type { RequestDrop } from "./counters.ts";
import type { Request } from "./request.ts";
import type { PipeHost } from "./request-pipe.ts";

export interface AdmissionHost extends PipeHost {
  /** Null: requests are forwarded. */
  readonly dryRun: DryRun | null;
  /** The time that --max-rate goes by. */
  readonly rateMs: number;
}

/** The client connection that a request is of. */
export interface ClientHolder {
  readonly origin: StreamOrigin;
  /** Null: nobody has asked for it yet. */
  client: Client | null;
}

/** What policy has found about a request. */
export interface Judgement {
  readonly decision: Decision;
  /** The request in a few words, for a dry run. */
  readonly example: string;
  /** The head with the edits; null: it stays as it is, or is not forwarded. */
  readonly edited: Uint8Array | null;
}

export function clientOf({ identity }: StreamOrigin, told: ProxyClient | null): Client {
  return told === null
    ? new Client(identity)
    : new Client(identity, addressGroups(told.address, told.address.includes(":") ? 6 : 4)!);
}

/** Has policy look at a head: from the request line to the empty line, as Latin-1. */
export function judge(host: AdmissionHost, policy: Policy, stream: ClientHolder, head: string): Judgement {
  const view = new HeadView(head);
  const client = (stream.client ??= clientOf(stream.origin, null));
  const decision = policy.decide(view, client);
  const example = host.dryRun === null ? "" : exampleOf(view);
  return { decision, example, edited: decision.drop === null ? policy.edit(view, client) : null };
}

/** Notes what a request's head says of how it is sent. */
export function describe(request: Request, head: RequestHead): void {
  request.method = head.method;
  request.minorVersion = head.minorVersion;
  request.isIdempotent = head.isIdempotent;
  request.wantsUpgrade = head.wantsUpgrade;
  request.isIsolated = head.isIsolated;
}

/** Whether --max-rate has room for a request that is about to be forwarded; then it is counted. */
export function mayPass(host: AdmissionHost): boolean {
  const { policy } = host.options;
  return policy === null || !policy.hasRate || policy.mayPass(host.rateMs);
}

/** Counts a request that is whole, and is not forwarded. `judgement`: policy's, if it has looked at it. */
export function countDropped(host: AdmissionHost, reason: RequestDrop, judgement: Judgement | null): void {
  const { requests } = host.destination.counters;
  const { dryRun } = host;
  const isRated = reason === "dry_run" && !host.options.policy!.mayPass(host.rateMs);
  requests.dropped[isRated ? "rate_limit" : reason]++;
  if (dryRun !== null && judgement !== null)
    dryRun.count((isRated ? RATE_LIMIT : judgement.decision).by, judgement.example);
}
