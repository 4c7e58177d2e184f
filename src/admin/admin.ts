/**
 * The pages of --admin: they show the main thread's last look at the run, and are made when they are asked for. Shards
 * have no part in it.
 */
import { addressName, inUrl } from "../address.ts";
import type { Config } from "../config.ts";
import { RefusalError } from "../errors.ts";
import { type ComparisonReport, NOTHING_COMPARED } from "../observe/comparison-report.ts";
import { Counters } from "../observe/counters.ts";
import { together } from "../observe/gauges.ts";
import type { Look } from "../observe/look.ts";
import { History } from "./history.ts";
import { METRICS_TYPE, metricsText } from "./metrics.ts";
import { PAGE_FIELDS, pageHtml } from "./page.ts";
import { processFigures } from "./process-figures.ts";
import { told } from "./response.ts";
import { AdminServer, type Route, type Routes } from "./server.ts";
import { health, json, statusOf } from "./status.ts";
import type { Phase, View } from "./view.ts";

/** The admin port and its pages. Close it when the run has ended. */
export class Admin {
  phase: Phase = "starting";
  private readonly history = new History();
  private readonly startedMs: number;
  private readonly server: AdminServer;
  private look: Look;

  /** Listens at `config.admin`. `now`: milliseconds since 1970. Throws RefusalError. */
  constructor(
    private readonly config: Config,
    now: () => number,
    /** The findings of --compare, with examples; null: responses are not compared. */
    private readonly comparison: ComparisonReport | null = null,
  ) {
    if (config.admin === undefined) throw new RefusalError("Cannot serve anything: --admin names no address");
    this.startedMs = now();
    this.look = nothingSeen(this.startedMs, config.also.map(addressName));
    this.server = new AdminServer(config.admin, this.routes(), now);
  }

  /** The URL for a browser. */
  get url(): string {
    return `http://${inUrl(this.config.admin!.host)}:${this.server.port}/`;
  }

  /** The counters of the admin port itself. */
  get counters() {
    return this.server.counters;
  }

  show(look: Look): void {
    this.look = look;
    this.history.add(look);
    this.server.renew();
  }

  close(): void {
    this.server.close();
  }

  /** All pages. */
  private routes(): Routes {
    const { comparison } = this;
    const worst = () => comparison?.worst ?? null;
    const html = { page: () => pageHtml(statusOf(this.view, this.row), worst()), fields: PAGE_FIELDS };
    const compared: [string, Route][] =
      comparison === null ? [] : [["/compare", { page: () => json(200, comparison.page) }]];
    return new Map<string, Route>([
      ...compared,
      ["/", html],
      ["/status", { page: () => json(200, statusOf(this.view, this.row)) }],
      ["/history", { page: () => json(200, this.history.rows) }],
      ["/metrics", { page: () => ({ status: 200, contentType: METRICS_TYPE, body: metricsText(this.view) }) }],
      ["/healthz", { page: () => health(this.view) }],
      ["/livez", { page: () => told(200, "alive") }],
    ]);
  }

  private get row() {
    return this.history.rows.at(-1);
  }

  private get view(): View {
    const { config, startedMs, phase, look, comparison, server } = this;
    const compared = comparison?.counts ?? NOTHING_COMPARED;
    const admin = { ...server.counters, open: server.openCount };
    return { config, startedMs, phase, look, compared, admin, process: processFigures() };
  }
}

function nothingSeen(timeMs: number, further: readonly string[]): Look {
  return {
    timeMs,
    counters: new Counters(further).snapshot(),
    gauges: together([], further.length),
    isInterfaceUp: true,
    lastFrameMs: timeMs,
    problems: [],
  };
}
