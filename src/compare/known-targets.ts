/** What is remembered of targets and routes, so that one that comes again costs a look-up alone. */
import type { Redactor } from "../redact/redactor.ts";
import { pathOfTarget, routeOf } from "./routes.ts";
import type { Route } from "./tally.ts";

// At a limit all that is remembered is forgotten, and read anew when it comes again: nothing is lost, or counted.

/** Targets whose route is remembered. */
export const KNOWN_TARGETS_MAX = 4096;
/** A longer target is not remembered. */
export const KNOWN_TARGET_LEN_MAX = 256;
/** Routes of which it is remembered how they are told. */
export const KNOWN_ROUTES_MAX = 4096;

export interface KnownTarget {
  readonly path: string;
  readonly routePath: string;
  /** Of the request that came last, and what it is counted in; null: none has. */
  method: string;
  route: Route | null;
}

export class KnownTargets {
  private readonly targets = new Map<string, KnownTarget>();
  private readonly routes = new Map<string, string>();

  constructor(private readonly redactor: Pick<Redactor, "text">) {}

  of(target: string): KnownTarget {
    return this.targets.get(target) ?? this.newTarget(target);
  }

  private newTarget(target: string): KnownTarget {
    const path = pathOfTarget(target);
    const known = { path, routePath: this.routeOf(path), method: "", route: null };
    if (target.length > KNOWN_TARGET_LEN_MAX) return known;
    if (this.targets.size >= KNOWN_TARGETS_MAX) this.targets.clear();
    this.targets.set(target, known);
    return known;
  }

  private routeOf(path: string): string {
    const route = routeOf(path);
    const known = this.routes.get(route);
    if (known !== undefined) return known;
    const told = this.redactor.text(route);
    if (this.routes.size >= KNOWN_ROUTES_MAX) this.routes.clear();
    this.routes.set(route, told);
    return told;
  }
}
