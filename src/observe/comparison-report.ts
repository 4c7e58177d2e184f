/** Tells about comparisons: a line when a route begins to differ, differences as they come, a table at the end. */
import {
  type ComparisonCounts,
  type ComparisonPage,
  type ComparisonSummary,
  countsOf,
  isShown,
  LINES_PER_MINUTE_MAX,
  newTally,
  pageOf,
  type Place,
  placesOf,
  type Quantiles,
  type Route,
  sumOf,
  summaryOf,
  type Tally,
  worstFirst,
  worstOf,
  type WorstRoutes,
} from "../compare/tally.ts";
import { RefusalError } from "../errors.ts";
import type { DifferencesFile } from "./differences-file.ts";
import type { Log } from "./log.ts";
import { named } from "./words.ts";

/** How long production's responses may be absent before a warning gives advice. */
export const OUTBOUND_WARNING_MS = 60_000;
const MINUTE_MS = 60_000;
/** The most routes in the table, and the most differences of each; how many there are more is told. */
export const ROUTES_SHOWN_MAX = 20;
export const PLACES_SHOWN_MAX = 5;
/** The longest side of an example in a line. */
export const SIDE_LEN_MAX = 60;

const OUTBOUND_ADVICE =
  "The mirror brings no response of production, so the program can compare nothing: its filter must accept outbound " +
  "traffic from the service's port as well (in AWS, an outbound rule of the traffic mirror filter)";

/** The counts if nothing is compared. */
export const NOTHING_COMPARED: ComparisonCounts = countsOf(newTally());

/** The report of a run's comparisons. */
export class ComparisonReport {
  private tally = newTally();
  /** Routes with a reported difference. */
  private readonly told = new Set<string>();
  private firstRequestMs = -1;
  private hasWarned = false;
  private linesInMinute = 0;
  private minuteSinceMs = -Infinity;
  private leftOut = 0;
  /** Whether the file of differences could not be written to its end. */
  isFileBroken = false;

  /** `file` null: differences are not written to a file. */
  constructor(
    private readonly log: Log,
    private file: DifferencesFile | null,
    private readonly now: () => number,
  ) {}

  /** Takes the counts of the threads so far. */
  update(parts: readonly Tally[]): void {
    this.tally = sumOf(parts);
    this.tally.differences_left_out += this.leftOut;
    for (const route of this.tally.routes.values()) this.tellIfNew(route);
  }

  /** Writes a thread's lines of differences: there are some only if they are wanted. */
  write(lines: readonly string[]): void {
    if (this.file === null) this.leftOut += lines.length;
    if (lines.length === 0 || this.file === null) return;
    const nowMs = this.now();
    if (nowMs - this.minuteSinceMs >= MINUTE_MS) {
      this.minuteSinceMs = nowMs;
      this.linesInMinute = 0;
    }
    const written = lines.slice(0, LINES_PER_MINUTE_MAX - this.linesInMinute);
    this.linesInMinute += written.length;
    this.leftOut += lines.length - written.length;
    try {
      this.file.append(written);
    } catch (error) {
      if (!(error instanceof RefusalError)) throw error;
      // Counting goes on.
      this.log.error(error.message);
      this.leftOut += written.length;
      this.file = null;
      this.isFileBroken = true;
    }
  }

  /** Writes the messages that are due. Call it now and then. */
  tick(requestsSeen: number): void {
    if (requestsSeen === 0) return;
    const nowMs = this.now();
    if (this.firstRequestMs < 0) this.firstRequestMs = nowMs;
    if (nowMs - this.firstRequestMs >= OUTBOUND_WARNING_MS) this.warnIfOneSided(requestsSeen);
  }

  /** The end: writes a table, the worst routes first. */
  totals(requestsSeen: number): void {
    this.warnIfOneSided(requestsSeen);
    this.file?.close();
    this.file = null;
    const lines = tableOf(this.tally);
    if (this.log.format === "json") this.log.info(lines[0]!, { comparison: this.summary });
    else for (const line of lines) this.log.info(line);
  }

  get hasDifferences(): boolean {
    return this.tally.different > 0;
  }

  /** The member `comparison` of --summary. */
  get summary(): ComparisonSummary {
    return summaryOf(this.tally);
  }

  /** The summary with examples, for /compare. */
  get page(): ComparisonPage {
    return pageOf(this.tally);
  }

  /** The worst routes, for the status page. */
  get worst(): WorstRoutes {
    return worstOf(this.tally);
  }

  /** The counts, for /metrics. */
  get counts(): ComparisonCounts {
    return countsOf(this.tally);
  }

  private tellIfNew(route: Route): void {
    const name = `${route.method} ${route.path}`;
    if (route.different === 0 || this.told.has(name)) return;
    const shown = placesOf(route).find((place) => isShown(place, route));
    if (shown === undefined) return;
    this.told.add(name);
    this.log.warnOften(
      "route differs",
      `The endpoint responds differently to ${name}: ${describe(shown)} in ${shown.count} of ${route.compared}` +
        `${exampleOf(shown)}`,
    );
  }

  private warnIfOneSided(requestsSeen: number): void {
    if (this.hasWarned || this.tally.production_responses > 0 || requestsSeen === 0) return;
    this.hasWarned = true;
    this.log.warn(OUTBOUND_ADVICE);
  }
}

/** The lines of the table. */
export function tableOf(tally: Tally): string[] {
  const { compared, same, different, not_comparable, latency } = tally;
  const told = named(not_comparable);
  const worst = worstFirst(tally).filter((route) => route.different > 0);
  const { production, endpoint } = summaryOf({ ...tally, routes: new Map(), latency }).latency;
  return [
    `Comparison: ${compared} responses compared, ${same} same, ${different} different${told === "" ? "" : `; not comparable: ${told}`}`,
    ...(compared === 0 ? [] : [`Latency: production ${times(production)}; endpoint ${times(endpoint)}`]),
    ...worst.slice(0, ROUTES_SHOWN_MAX).flatMap(routeLines),
    ...(worst.length > ROUTES_SHOWN_MAX ? [`(${worst.length - ROUTES_SHOWN_MAX} more routes differ)`] : []),
  ];
}

function routeLines(route: Route): string[] {
  const { method, path, different, compared } = route;
  const places = placesOf(route).filter((place) => isShown(place, route));
  const head = `${String(different).padStart(8)} of ${String(compared).padEnd(8)} ${method} ${path}`;
  const more = places.length - PLACES_SHOWN_MAX;
  return [
    head,
    ...places.slice(0, PLACES_SHOWN_MAX).map((place) => {
      const noise = place.control_count > 0 ? ` (${place.control_count} in the control)` : "";
      return `${String(place.count).padStart(16)}    ${describe(place)}${noise}${exampleOf(place)}`;
    }),
    ...(more > 0 ? [`${" ".repeat(20)}(${more} more)`] : []),
  ];
}

function describe({ kind, where }: Place): string {
  return where === "" ? kind : `${kind} ${where}`;
}

function exampleOf({ examples }: Place): string {
  const [first] = examples;
  if (first === undefined) return "";
  const { production, endpoint } = first.item;
  return `, such as ${side(production)} in production, ${side(endpoint)} at the endpoint`;
}

function side(text: string): string {
  if (text === "") return "nothing";
  const line = text.replace(/\s+/g, " ");
  return line.length > SIDE_LEN_MAX ? `${line.slice(0, SIDE_LEN_MAX)}…` : line;
}

function times({ p50_ms, p90_ms, p99_ms }: Quantiles): string {
  const shown = (timeMs: number | null) => (timeMs === null ? "–" : timeMs.toFixed(timeMs < 10 ? 2 : 1));
  return `p50 ${shown(p50_ms)} ms, p90 ${shown(p90_ms)} ms, p99 ${shown(p99_ms)} ms`;
}
