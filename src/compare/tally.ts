/**
 * Counts of comparisons: verdicts, routes, places where responses differ, times. Plain data that goes from thread to
 * thread, and sums of it.
 */
import type { DifferenceKind } from "./difference.ts";
import {
  addLatencies,
  cumulated,
  curveOf,
  type LatencyHistogram,
  type Quantiles,
  quantilesOf,
  sumOfTimes,
} from "./latency.ts";
import { type Drawn, isKept, keep } from "./reservoir.ts";

export type { Quantiles };

/** The most routes with a count of their own; all further ones count as one more. */
export const ROUTES_MAX = 1000;
/** The path of the route for all routes beyond {@link ROUTES_MAX}. */
export const OTHER_ROUTE = "other";
const OTHER_METHOD = "*";
/** The most kinds and places of one route with a count of their own; differences in further ones are only counted. */
export const PLACES_MAX = 200;
/** The most lines of --differences in a minute of our clock, of each thread and of all together. */
export const LINES_PER_MINUTE_MAX = 1000;
/** A difference is shown if its count exceeds its noise by this many percent of the noise, */
export const NOISE_EXCESS_PERCENT = 20;
/** and by this many in a million of the route's comparisons. */
export const NOISE_PER_MILLION = 300;
const MILLION = 1_000_000;
/** The buckets of metrics, the same as those of the endpoint's response time. */
const LATENCY_BUCKETS_MS = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000] as const;

/** The reasons why a request's responses are not comparable. */
export const NOT_COMPARABLE_REASONS = [
  /** The request was damaged, or stood behind a damaged one and its response is not known. */
  "request_damaged",
  "request_not_forwarded",
  /** Production's response was not seen whole. */
  "production_response_damaged",
  /** Production's response was not seen, or is not certain to be this request's. */
  "production_response_missing",
  "unanswered",
  /** The kept parts of the two responses do not show whether they are the same. */
  "too_large",
  /** Another protocol follows, on both sides. */
  "pass_through",
  /** The endpoint is a file: production's response was seen whole, and was not compared. */
  "endpoint_is_file",
] as const;
/** One of {@link NOT_COMPARABLE_REASONS}. */
export type NotComparableReason = (typeof NOT_COMPARABLE_REASONS)[number];

/** One occurrence, in the form that is shown: without secrets. */
export interface Example {
  /** When the request was captured, as ISO 8601. */
  readonly time: string;
  readonly method: string;
  readonly target: string;
  readonly client: string;
  /** Empty: production has nothing there. */
  readonly production: string;
  readonly endpoint: string;
}

/** The differences of one kind in one place of a route. */
export interface Place {
  readonly kind: DifferenceKind;
  readonly where: string;
  count: number;
  control_count: number;
  readonly examples: Drawn<Example>[];
}

/** The comparisons of one method and path. */
export interface Route {
  readonly method: string;
  readonly path: string;
  compared: number;
  different: number;
  /** The places of differences, by kind and place. */
  readonly places: Map<string, Place>;
  /** Differences in places beyond {@link PLACES_MAX}. */
  other_differences: number;
  /** Times to the last byte of the response. */
  readonly latency: { readonly production: LatencyHistogram; readonly endpoint: LatencyHistogram };
}

/** The counts of all comparisons. */
export interface Tally {
  compared: number;
  same: number;
  different: number;
  /** Requests that were left out of the comparison (--compare-sample). */
  sampled_out: number;
  /** Responses of production that were seen, comparable or not comparable. */
  production_responses: number;
  /** Lines that --differences left out. */
  differences_left_out: number;
  readonly not_comparable: Record<NotComparableReason, number>;
  /** Routes by method and path. */
  readonly routes: Map<string, Route>;
  readonly latency: Latency;
}

/** Times from the request's last segment (production), or from the write of its last byte (endpoint). */
interface Latency {
  readonly production: LatencyHistogram;
  readonly endpoint: LatencyHistogram;
  readonly production_first_byte: LatencyHistogram;
  readonly endpoint_first_byte: LatencyHistogram;
}

/** New counts, all zero. */
export function newTally(): Tally {
  return {
    compared: 0,
    same: 0,
    different: 0,
    sampled_out: 0,
    production_responses: 0,
    differences_left_out: 0,
    not_comparable: Object.fromEntries(NOT_COMPARABLE_REASONS.map((reason) => [reason, 0])) as Tally["not_comparable"],
    routes: new Map(),
    latency: {
      production: new Map(),
      endpoint: new Map(),
      production_first_byte: new Map(),
      endpoint_first_byte: new Map(),
    },
  };
}

/** The route of this method and path, or the one for all routes beyond {@link ROUTES_MAX}. */
export function routeIn(tally: Tally, method: string, path: string): Route {
  const key = `${method} ${path}`;
  const known = tally.routes.get(key);
  if (known !== undefined) return known;
  // A request may have such a target, with any method.
  const isOther = method === OTHER_METHOD && path === OTHER_ROUTE;
  if (tally.routes.size >= ROUTES_MAX && !isOther) return routeIn(tally, OTHER_METHOD, OTHER_ROUTE);
  const route: Route = {
    method,
    path,
    compared: 0,
    different: 0,
    places: new Map(),
    other_differences: 0,
    latency: { production: new Map(), endpoint: new Map() },
  };
  tally.routes.set(key, route);
  return route;
}

/** The place with this key in a route; null: there are too many. `where` is called for a new place. */
export function placeIn(route: Route, key: string, kind: DifferenceKind, where: () => string): Place | null {
  const known = route.places.get(key);
  if (known !== undefined) return known;
  if (route.places.size >= PLACES_MAX) return null;
  const place: Place = { kind, where: where(), count: 0, control_count: 0, examples: [] };
  route.places.set(key, place);
  return place;
}

/** The sum of several threads' counts. */
export function sumOf(parts: readonly Tally[]): Tally {
  const sum = newTally();
  for (const part of parts) {
    sum.compared += part.compared;
    sum.same += part.same;
    sum.different += part.different;
    sum.sampled_out += part.sampled_out;
    sum.production_responses += part.production_responses;
    sum.differences_left_out += part.differences_left_out;
    for (const reason of NOT_COMPARABLE_REASONS) sum.not_comparable[reason] += part.not_comparable[reason];
    for (const name of Object.keys(sum.latency) as (keyof Latency)[])
      addLatencies(sum.latency[name], part.latency[name]);
    for (const route of part.routes.values()) addRoute(routeIn(sum, route.method, route.path), route);
  }
  return sum;
}

function addRoute(sum: Route, part: Route): void {
  sum.compared += part.compared;
  sum.different += part.different;
  sum.other_differences += part.other_differences;
  addLatencies(sum.latency.production, part.latency.production);
  addLatencies(sum.latency.endpoint, part.latency.endpoint);
  for (const [key, { kind, where, count, control_count, examples }] of part.places) {
    const place = placeIn(sum, key, kind, () => where);
    if (place === null) {
      sum.other_differences += count;
      continue;
    }
    place.count += count;
    place.control_count += control_count;
    for (const drawn of examples) if (isKept(place.examples, drawn.draw)) keep(place.examples, drawn);
  }
}

/** Whether a difference is more than noise. */
export function isShown({ count, control_count }: Place, { compared }: Route): boolean {
  const excess = count - control_count;
  return excess * 100 > control_count * NOISE_EXCESS_PERCENT && excess * MILLION > compared * NOISE_PER_MILLION;
}

/** Routes, the worst first: those with the most different responses. */
export function worstFirst(tally: Tally): Route[] {
  const share = ({ different, compared }: Route) => (compared === 0 ? 0 : different / compared);
  const name = ({ method, path }: Route) => `${path} ${method}`;
  return [...tally.routes.values()].sort(
    (a, b) => b.different - a.different || share(b) - share(a) || (name(a) < name(b) ? -1 : 1),
  );
}

/** Places of a route, the most frequent first. */
export function placesOf(route: Route): Place[] {
  return [...route.places.values()].sort((a, b) => b.count - a.count || (a.where < b.where ? -1 : 1));
}

/** The quantiles of production's and the endpoint's times. */
export interface Latencies {
  readonly production: Quantiles;
  readonly endpoint: Quantiles;
}

/** The member `comparison` of --summary. */
export function summaryOf(tally: Tally) {
  const { routes: _routes, latency, ...counts } = tally;
  return {
    ...counts,
    not_comparable: { ...tally.not_comparable },
    routes: worstFirst(tally).map((route) => ({
      method: route.method,
      path: route.path,
      compared: route.compared,
      different: route.different,
      differences: placesOf(route).map(({ kind, where, count, control_count }) => ({
        kind,
        where,
        count,
        control_count,
      })),
      other_differences: route.other_differences,
      latency: latenciesOf(route.latency),
    })),
    latency: {
      ...latenciesOf(latency),
      first_byte: latenciesOf({ production: latency.production_first_byte, endpoint: latency.endpoint_first_byte }),
    },
  };
}

/** The member `comparison` of --summary. */
export type ComparisonSummary = ReturnType<typeof summaryOf>;

function latenciesOf({
  production,
  endpoint,
}: {
  production: LatencyHistogram;
  endpoint: LatencyHistogram;
}): Latencies {
  return { production: quantilesOf(production), endpoint: quantilesOf(endpoint) };
}

/** The content of /compare: the summary with examples, and which differences are more than noise. */
export function pageOf(tally: Tally) {
  const summary = summaryOf(tally);
  return {
    ...summary,
    routes: worstFirst(tally).map((route, i) => ({
      ...summary.routes[i]!,
      differences: placesOf(route).map((place) => ({
        kind: place.kind,
        where: place.where,
        count: place.count,
        control_count: place.control_count,
        is_shown: isShown(place, route),
        examples: place.examples.map(({ item }) => item),
      })),
    })),
  };
}

/** The content of /compare. */
export type ComparisonPage = ReturnType<typeof pageOf>;

/** How many routes the status page shows, and how many differences of each. */
export const WORST_ROUTES_MAX = 20;
/** How many differences of a route the status page shows. */
export const WORST_PLACES_MAX = 10;

/**
 * The content of the status page: the worst routes of {@link pageOf}, an example of each difference, and both latencies
 * as curves.
 */
export function worstOf(tally: Tally) {
  const all = worstFirst(tally);
  const worst = all.slice(0, WORST_ROUTES_MAX);
  const { routes, ...counts } = pageOf({ ...tally, routes: new Map(worst.map((route, i) => [String(i), route])) });
  return {
    ...counts,
    curves: curvesOf(tally.latency),
    routes: routes.map((route, i) => {
      // Differences that are only noise come last.
      const differences = route.differences.toSorted((a, b) => Number(b.is_shown) - Number(a.is_shown));
      return {
        ...route,
        differences: differences.slice(0, WORST_PLACES_MAX),
        further_differences: Math.max(differences.length - WORST_PLACES_MAX, 0),
        curves: curvesOf(worst[i]!.latency),
      };
    }),
    further_routes: all.length - worst.length,
  };
}

/** The content of the status page about comparisons. */
export type WorstRoutes = ReturnType<typeof worstOf>;

function curvesOf({ production, endpoint }: { production: LatencyHistogram; endpoint: LatencyHistogram }) {
  return { production: curveOf(production), endpoint: curveOf(endpoint) };
}

/** The counts for metrics: verdicts, and times to the last byte, in the shape of the other counters. */
export function countsOf({ routes: _routes, latency: { production, endpoint }, ...counts }: Tally) {
  return { ...counts, production_latency: timesOf(production), endpoint_latency: timesOf(endpoint) };
}

/** The counts for metrics. */
export type ComparisonCounts = ReturnType<typeof countsOf>;

function timesOf(histogram: LatencyHistogram) {
  const within = cumulated(histogram, LATENCY_BUCKETS_MS);
  const buckets = within.map((count, i) => [`le_${LATENCY_BUCKETS_MS[i] ?? "inf"}_ms`, count - (within[i - 1] ?? 0)]);
  return {
    count: within.at(-1)!,
    sum_ms: sumOfTimes(histogram),
    buckets: Object.fromEntries(buckets) as Record<string, number>,
  };
}
