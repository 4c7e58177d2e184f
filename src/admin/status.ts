/** /status, /history and /healthz: JSON for programs, and for the page. */
import type { Config } from "../config.ts";
import { type DestinationGauges, isUp } from "../observe/gauges.ts";
import type { Look } from "../observe/look.ts";
import { UNHEALTHY } from "../observe/problems.ts";
import { COMMIT, VERSION } from "../version.ts";
import type { Row } from "./history.ts";
import { JSON_TYPE, type Page } from "./response.ts";
import type { View } from "./view.ts";

/** Problems of /healthz in addition to those of observe: no frames are captured yet, or no more. */
type Unready = "starting" | "stopping";

interface Reason {
  readonly reason: string;
  readonly message: string;
}

const UNREADY: Record<Unready, string> = {
  starting: "The program is starting: it captures nothing yet",
  stopping: "The program is stopping: it captures nothing more",
};

/** The reasons why no traffic should be expected at the endpoint; empty: the program is healthy. */
export function unhealthy({ phase, look: { problems } }: View): Reason[] {
  const unready = phase === "starting" || phase === "stopping" ? [{ reason: phase, message: UNREADY[phase] }] : [];
  const failing = problems.filter(({ kind }) => UNHEALTHY.includes(kind));
  return [...unready, ...failing.map(({ kind, message }) => ({ reason: kind, message }))];
}

/**
 * 200 while frames can be captured and the endpoint was there at the last try, else 503 with the reasons. Further
 * destinations are shown, but do not change the status.
 */
export function health(view: View): Page {
  const [first, ...more] = unhealthy(view);
  const further = furtherOf(view.look);
  const destinations = further.length > 0 ? { destinations: further.map(({ address, up }) => ({ address, up })) } : {};
  if (first === undefined) return json(200, { status: "ok", ...destinations });
  return json(503, { status: "unhealthy", ...first, ...(more.length > 0 ? { more } : {}), ...destinations });
}

/** The summary and the current state. `row`: the last second. */
export function statusOf(view: View, row: Row | undefined) {
  const { look, config, startedMs, admin, process, phase } = view;
  const { destinations: _, ...endpoint } = look.gauges;
  return {
    version: VERSION,
    commit: COMMIT,
    time: isoOf(look.timeMs),
    started: isoOf(startedMs),
    uptime_s: Math.floor((look.timeMs - startedMs) / 1000),
    phase,
    health: unhealthy(view).length === 0 ? "ok" : "unhealthy",
    problems: look.problems.map(({ since_ms, ...problem }) => ({ ...problem, since: isoOf(since_ms) })),
    ...look.counters,
    now: {
      interface_up: look.isInterfaceUp,
      last_frame: isoOf(look.lastFrameMs),
      ...standing(endpoint),
      max_waiting_requests: config.maxWaitingRequests,
      max_flows: config.maxFlows,
      destinations: furtherOf(look),
    },
    rates: row ?? null,
    admin,
    process: {
      cpu_s: process.cpuSeconds,
      resident_bytes: process.residentBytes,
      open_fds: process.openDescriptors,
      max_fds: process.descriptorsMax,
      threads: process.threads,
    },
    configuration: configurationOf(config),
  };
}

/** The current state of the further destinations. */
function furtherOf({ counters, gauges }: Look) {
  return counters.destinations.map(({ address }, i) => {
    const own = gauges.destinations[i]!;
    return { address, up: isUp(own), ...standing(own) };
  });
}

function standing({ connected_ms, unconnected_ms, ...gauges }: DestinationGauges) {
  return {
    upstream_connected: connected_ms > 0 ? isoOf(connected_ms) : null,
    upstream_unconnected: unconnected_ms > 0 ? isoOf(unconnected_ms) : null,
    ...gauges,
  };
}

/** The content of /status. */
export type Status = ReturnType<typeof statusOf>;

/** A page with a value as JSON. */
export function json(status: number, value: unknown): Page {
  return { status, contentType: JSON_TYPE, body: `${JSON.stringify(value)}\n` };
}

/**
 * The configuration, in the words of the flags. Values of header fields are not shown, neither those that are set nor
 * those that rules look for: they may be secrets.
 */
export function configurationOf(config: Config): Record<string, unknown> {
  const { headEdits, allow, deny, told: _told, ...plain } = config;
  const { setHeader = [], rewritePath = [], ...edits } = headEdits ?? {};
  return snakeCase({
    ...plain,
    allow: allow.map(ruleText),
    deny: deny.map(ruleText),
    ...edits,
    setHeader: setHeader.map(([name]) => name),
    rewritePath: rewritePath.map(({ regex, text }) => `${regex}=>${text}`),
  });
}

function ruleText({ kind, pattern }: Config["allow"][number]): string {
  return `${kind}:${kind === "header" ? pattern.replace(/=.*$/s, "=…") : pattern}`;
}

/** Fields in snake case. An absent limit is "off", and an unset option is null. */
function snakeCase(fields: object): Record<string, unknown> {
  const named = Object.entries(fields).map(([name, value]) => [
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    value === Infinity ? "off" : (value ?? null),
  ]);
  return Object.fromEntries(named) as Record<string, unknown>;
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}
