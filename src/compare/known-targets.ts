/** Remembers targets and their routes, so that a repeated target costs only a look-up. */
import type { Redactor } from "../redact/redactor.ts";
import { pathOfTarget, routeOf } from "./routes.ts";
import type { Route } from "./tally.ts";

// At a limit everything is forgotten, and read again when needed: nothing is lost, and no counter is needed.

/** The number of targets that are remembered with their route. */
export const KNOWN_TARGETS_MAX = 4096;
/** A longer target is not remembered. */
export const KNOWN_TARGET_LEN_MAX = 256;
/** The number of routes that are remembered with their redacted form. */
export const KNOWN_ROUTES_MAX = 4096;

/** A target with its route, as they were last found. */
export interface KnownTarget {
  readonly path: string;
  readonly routePath: string;
  /** The last request's method, and the route that counts it; null: no request has come. */
  method: string;
  route: Route | null;
}

/** The known targets of a shard. */
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
