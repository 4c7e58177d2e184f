/**
 * All comparisons of a shard: the exchanges that wait to be compared, and the results. Pure: all that is held is
 * charged, and time comes as an argument.
 */
import type { ResponseComparison } from "../forward/exchange.ts";
import type { StreamOrigin } from "../flow/stream.ts";
import { AgeList } from "../memory/age-list.ts";
import type { Redactor } from "../redact/redactor.ts";
import { compareResponses } from "./compare.ts";
import { TOO_LARGE } from "./content.ts";
import { type Difference, keyOf } from "./difference.ts";
import type { ComparedExchange } from "./exchange.ts";
import type { Ignored } from "./ignore.ts";
import { KnownTargets } from "./known-targets.ts";
import { countLatency } from "./latency.ts";
import { type Account, ComparedMemory } from "./memory.ts";
import { PairedStream } from "./pairing.ts";
import type { PairingHost } from "./pairing-host.ts";
import { ResponseRecorder } from "./recorder.ts";
import type { Kept } from "./response.ts";
import { isKept, keep } from "./reservoir.ts";
import { cut, show, type Shown } from "./shown.ts";
import { LINES_PER_MINUTE_MAX, newTally, placeIn, type Route, routeIn } from "./tally.ts";

/** How long production's response is waited for, in the capture's time. */
export const PRODUCTION_TIMEOUT_MS = 60_000;
/**
 * The most requests that wait for production's response; beyond it, the one that has waited longest is not comparable.
 */
export const AWAITED_MAX = 16_384;
const MINUTE_MS = 60_000;

const NO_NOISE: ReadonlyMap<string, Difference> = new Map();

/** The options of a shard's comparison. */
export interface ComparisonOptions {
  /** The longest body that is kept; longer ones are compared by their digest. */
  readonly maxCompareBytes: number;
  /** The share of the requests that is compared, from 0 to 1. */
  readonly share: number;
  /** Whether a control runs production's version. */
  readonly hasControl: boolean;
  /** The endpoint is a file, and production's responses are written to it. */
  readonly endpointIsFile: boolean;
  /** Whether a line is wanted for each difference. */
  readonly wantsLines: boolean;
}

/** The comparison of a shard. {@link tally} has its results. */
export class Comparison implements ResponseComparison, PairingHost {
  readonly tally = newTally();
  readonly memory: ComparedMemory;
  /** Exchanges that wait for the beginning of production's response. */
  private readonly awaited = new AgeList<ComparedExchange>();
  private readonly targets: KnownTargets;
  private lines: string[] = [];
  private linesInMinute = 0;
  private minuteSinceMs = -Infinity;

  constructor(
    private readonly options: ComparisonOptions,
    private readonly ignored: Ignored,
    private readonly redactor: Redactor,
    account: Account,
    /** The capture's clock. */
    private readonly clock: { readonly nowMs: number },
    /** Returns numbers from 0 to 1, without 1. */
    private readonly random: () => number = Math.random,
  ) {
    this.memory = new ComparedMemory(account);
    this.targets = new KnownTargets(redactor);
  }

  get hasControl(): boolean {
    return this.options.hasControl;
  }

  get endpointIsFile(): boolean {
    return this.options.endpointIsFile;
  }

  get captureMs(): number {
    return this.clock.nowMs;
  }

  openStream(origin: StreamOrigin): PairedStream {
    return new PairedStream(this, origin);
  }

  newRecorder(): ResponseRecorder {
    return new ResponseRecorder(this.memory, this.options.maxCompareBytes);
  }

  /** Draws whether a request is left out of the comparison. */
  isSampledOut(): boolean {
    return this.options.share < 1 && this.random() >= this.options.share;
  }

  /** Production's response to an exchange is waited for. */
  await(exchange: ComparedExchange): void {
    this.awaited.append(exchange);
    if (this.awaited.size > AWAITED_MAX || !this.memory.hasRoomFor(0)) this.expireOldest();
  }

  /** Production's response to an exchange has begun. */
  begun(exchange: ComparedExchange): void {
    if (exchange.list !== null) this.awaited.remove(exchange);
  }

  /** Time passes: the capture's, and ours. */
  advance(nowMs: number): void {
    const sinceMs = this.captureMs - PRODUCTION_TIMEOUT_MS;
    while (this.awaited.oldest !== null && this.awaited.oldest.seenMs <= sinceMs) this.expireOldest();
    if (nowMs - this.minuteSinceMs < MINUTE_MS) return;
    this.minuteSinceMs = nowMs;
    this.linesInMinute = 0;
  }

  /** Production's side has ended. */
  finish(): void {
    while (this.awaited.oldest !== null) this.expireOldest();
  }

  /** The lines of --differences since the last call. */
  takeLines(): string[] {
    const { lines } = this;
    this.lines = [];
    return lines;
  }

  /** Compares two whole responses. False: the kept parts do not show whether they are the same. */
  compare(exchange: ComparedExchange, production: Kept, endpoint: Kept, control: Kept | null): boolean {
    const { target } = exchange;
    const known = this.targets.of(target);
    const { path } = known;
    const found = compareResponses(production.response!, endpoint.response!, path, this.ignored);
    if (found === TOO_LARGE) return false;
    const { tally } = this;
    if (known.method !== exchange.method) {
      known.method = exchange.method;
      known.route = routeIn(tally, exchange.method, known.routePath);
    }
    const route = known.route!;
    tally.compared++;
    route.compared++;
    const noise = this.noiseOf(path, production, control);
    // A response counts as the same if all its differences are noise.
    if (found.every(({ kind, where }) => noise.has(keyOf(kind, where)))) tally.same++;
    else {
      tally.different++;
      route.different++;
    }
    this.countTimes(route, exchange, production, endpoint);
    for (const [key, { kind, where }] of noise) {
      const place = placeIn(route, key, kind, () => this.redactor.text(where));
      if (place !== null) place.control_count++;
    }
    for (const difference of found) {
      const isNoise = noise.has(keyOf(difference.kind, difference.where));
      this.count(route, difference, exchange, target, isNoise);
    }
    return true;
  }

  /** The control's differences from production, by kind and place. */
  private noiseOf(path: string, production: Kept, control: Kept | null): ReadonlyMap<string, Difference> {
    if (control === null || control.response === null) return NO_NOISE;
    const found = compareResponses(production.response!, control.response, path, this.ignored);
    return found === TOO_LARGE ? NO_NOISE : new Map(found.map((each) => [keyOf(each.kind, each.where), each]));
  }

  private countTimes(route: Route, { requestMs }: ComparedExchange, production: Kept, endpoint: Kept): void {
    const { latency } = this.tally;
    countLatency(latency.production_first_byte, production.firstMs - requestMs);
    countLatency(latency.production, production.lastMs - requestMs);
    countLatency(route.latency.production, production.lastMs - requestMs);
    countLatency(latency.endpoint_first_byte, endpoint.firstMs - endpoint.writtenMs);
    countLatency(latency.endpoint, endpoint.lastMs - endpoint.writtenMs);
    countLatency(route.latency.endpoint, endpoint.lastMs - endpoint.writtenMs);
  }

  private count(
    route: Route,
    difference: Difference,
    exchange: ComparedExchange,
    target: string,
    isNoise: boolean,
  ): void {
    const { kind } = difference;
    // A place may be a secret as well, if names are data.
    const where = () => this.redactor.text(difference.where);
    const place = placeIn(route, keyOf(kind, difference.where), kind, where);
    const draw = this.random();
    const isExample = place !== null && isKept(place.examples, draw);
    const isLine = !isNoise && this.takesLine();
    if (place === null) route.other_differences++;
    else place.count++;
    if (!isExample && !isLine) return;
    const item = {
      time: new Date(exchange.requestMs).toISOString(),
      method: exchange.method,
      target: cut(this.redactor.target(target)),
      client: exchange.stream.clientAddress,
      ...(show(difference, this.redactor) satisfies Shown),
    };
    if (isExample) keep(place.examples, { draw, item });
    if (!isLine) return;
    const { time, method, client, production, endpoint } = item;
    const told = place?.where ?? where();
    this.lines.push(
      JSON.stringify({
        time,
        method,
        target: item.target,
        route: route.path,
        client,
        kind,
        where: told,
        production,
        endpoint,
      }),
    );
  }

  private takesLine(): boolean {
    if (!this.options.wantsLines) return false;
    if (this.linesInMinute >= LINES_PER_MINUTE_MAX) {
      this.tally.differences_left_out++;
      return false;
    }
    this.linesInMinute++;
    return true;
  }

  private expireOldest(): void {
    const oldest = this.awaited.oldest!;
    this.awaited.remove(oldest);
    oldest.stream.expire(oldest);
  }
}
