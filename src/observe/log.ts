/** Levelled log lines on standard error, through consola. */
import { type ConsolaInstance, type ConsolaReporter, createConsola, LogLevels } from "consola";

/** The levels of log lines, the most urgent first. */
export const LOG_LEVELS = ["error", "warn", "info", "debug", "trace"] as const;
/** One of {@link LOG_LEVELS}, or no lines at all. */
export type LogLevel = (typeof LOG_LEVELS)[number] | "silent";

/** The formats of log lines. */
export const LOG_FORMATS = ["pretty", "plain", "json"] as const;
/** One of {@link LOG_FORMATS}. */
export type LogFormat = (typeof LOG_FORMATS)[number];

/** The shortest time between two lines of one kind; the lines between are counted in the next one. */
const REPEAT_MS = 1000;

/** Lines of one kind that may repeat. */
interface Repeated {
  toldMs: number;
  /** The last line that was left out, and the number of lines left out since the last written one. */
  tell: (more: string) => void;
  untold: number;
}

/** One JSON object a line: time, level, message, and the fields of the call. */
const jsonReporter: ConsolaReporter = {
  log({ date, type, args }) {
    const [message, fields] = args as [string, object | undefined];
    process.stderr.write(`${JSON.stringify({ time: date.toISOString(), level: type, message, ...fields })}\n`);
  },
};

/** One line: time, level, message. */
const plainReporter: ConsolaReporter = {
  log({ date, type, args }) {
    process.stderr.write(`${date.toISOString()} ${type.toUpperCase().padEnd(5)} ${String(args[0])}\n`);
  },
};

/** The log of a run. */
export class Log {
  private readonly consola: ConsolaInstance;
  /**
   * Repeated lines by kind, of which there are only a few; the kind with the line left out most recently comes last.
   */
  private readonly repeated = new Map<string, Repeated>();

  /** `now`: milliseconds; repeated lines are limited by it. */
  constructor(
    level: LogLevel,
    readonly format: LogFormat,
    private readonly now: () => number,
  ) {
    const reporters = format === "json" ? [jsonReporter] : [plainReporter];
    this.consola = createConsola({
      level: level === "silent" ? LogLevels.silent : LogLevels[level],
      stdout: process.stderr,
      stderr: process.stderr,
      throttle: 0,
      ...(format === "pretty" ? { fancy: true } : { reporters }),
    });
  }

  error(message: string): void {
    this.consola.error(message);
  }

  /** Logs a warning. `fields` are for programs: --log-format json shows them. */
  warn(message: string, fields?: object): void {
    this.consola.warn(...this.entry(message, fields));
  }

  info(message: string, fields?: object): void {
    this.consola.info(...this.entry(message, fields));
  }

  debug(message: string): void {
    this.consola.debug(message);
  }

  /**
   * Warns at most once a second for each `kind`. Lines that are left out are counted in the next line of their kind, or
   * told by {@link tick}: with the last message that was left out, because that is the current state.
   */
  warnOften(kind: string, message: string, fields?: object): void {
    this.often(kind, (more) => this.warn(message + more, fields));
  }

  /** Informs at most once a second for each `kind`, as {@link warnOften} warns. */
  infoOften(kind: string, message: string, fields?: object): void {
    this.often(kind, (more) => this.info(message + more, fields));
  }

  /** Tells the left-out lines of kinds that have been quiet for long enough. Call it now and then. */
  tick(): void {
    this.tellUntold(this.now() - REPEAT_MS);
  }

  /** The log has ended: reports all left-out lines. */
  finish(): void {
    this.tellUntold(Infinity);
  }

  private often(kind: string, tell: (more: string) => void): void {
    const nowMs = this.now();
    const last = this.repeated.get(kind);
    if (last !== undefined && nowMs - last.toldMs < REPEAT_MS) {
      this.repeated.delete(kind);
      this.repeated.set(kind, { toldMs: last.toldMs, tell, untold: last.untold + 1 });
      return;
    }
    this.repeated.set(kind, { toldMs: nowMs, tell, untold: 0 });
    tell(untoldText(last?.untold ?? 0));
  }

  private tellUntold(toldUntilMs: number): void {
    for (const last of this.repeated.values()) {
      if (last.untold === 0 || last.toldMs > toldUntilMs) continue;
      last.tell(untoldText(last.untold - 1));
      last.untold = 0;
      last.toldMs = this.now();
    }
  }

  private entry(message: string, fields: object | undefined): [string, ...object[]] {
    return this.format === "json" && fields !== undefined ? [message, fields] : [message];
  }
}

function untoldText(count: number): string {
  return count === 0 ? "" : ` (and ${count} more like this since the last line)`;
}
