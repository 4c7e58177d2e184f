/** Levelled log lines on standard error, through consola. */
import { type ConsolaInstance, type ConsolaReporter, createConsola, LogLevels } from "consola";

export const LOG_LEVELS = ["error", "warn", "info", "debug", "trace"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number] | "silent";

export const LOG_FORMATS = ["pretty", "plain", "json"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** How often a warning of one kind is told, at the most; the rest are counted in the next. */
const REPEAT_MS = 1000;

/** One object a line: time, level, message, and the fields of the call. */
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

export class Log {
  private readonly consola: ConsolaInstance;
  private readonly repeated = new Map<string, { toldMs: number; untold: number }>();

  constructor(
    level: LogLevel,
    readonly format: LogFormat,
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

  /** `fields` are for programs: --log-format json shows them. */
  error(message: string, fields?: object): void {
    this.consola.error(...this.entry(message, fields));
  }

  warn(message: string, fields?: object): void {
    this.consola.warn(...this.entry(message, fields));
  }

  info(message: string, fields?: object): void {
    this.consola.info(...this.entry(message, fields));
  }

  debug(message: string, fields?: object): void {
    this.consola.debug(...this.entry(message, fields));
  }

  /** Warns at most once a second for each `kind`; what is left out is counted in the next. */
  warnOften(kind: string, message: string, nowMs: number): void {
    const last = this.repeated.get(kind);
    if (last !== undefined && nowMs - last.toldMs < REPEAT_MS) {
      last.untold++;
      return;
    }
    const more = last !== undefined && last.untold > 0 ? ` (and ${last.untold} more like this since the last line)` : "";
    this.repeated.set(kind, { toldMs: nowMs, untold: 0 });
    this.warn(message + more);
  }

  private entry(message: string, fields: object | undefined): [string, ...object[]] {
    return this.format === "json" && fields !== undefined ? [message, fields] : [message];
  }
}
