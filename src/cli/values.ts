/** The values that a flag or an argument accepts, and how their text is read. */
import { UsageError } from "../errors.ts";
import { LOG_LEVELS, type LogLevel } from "../observe/log.ts";
import { type Field, isEditable, readRewrite, type Rewrite } from "../policy/head-edits.ts";
import { readRule, type Rule } from "../policy/rules.ts";
import { readSample, type Sample } from "../policy/sample.ts";
import { Unreadable } from "../unreadable.ts";

/**
 * A kind of value. `parse` returns undefined if the text does not fit `accepts`, or returns the fault and its place.
 */
export interface Value<T> {
  readonly accepts: string;
  parse(text: string): T | undefined | Unreadable;
}

/** Reads the text of the option `what`. Throws UsageError, which names the text and the accepted values. */
export function parseValue<T>(what: string, text: string, value: Value<T>): T {
  if (text.includes(NO_UTF8)) throw new UsageError(`Cannot use ${what}${quote(text)}: it is not UTF-8`);
  const parsed = value.parse(text);
  if (parsed instanceof Unreadable) {
    const marked = `${text.slice(0, parsed.at)}>>>${text.slice(parsed.at)}`;
    throw new UsageError(`Cannot use ${what}${quote(text)}: ${parsed.why}, here: ${quote(marked)} (${value.accepts})`);
  }
  if (parsed === undefined) throw new UsageError(`Cannot use ${what}${quote(text)}: expected ${value.accepts}`);
  return parsed;
}

/** The runtime's replacement for bytes that are not UTF-8: a file with that name would be another one. */
const NO_UTF8 = "\ufffd";
/** More of a text does not help to find the mistake. */
const QUOTED_CHARS_MAX = 1000;

/** A text in the form that messages show: always on one line, and with a limited length. */
export function quote(text: string): string {
  return JSON.stringify(text.length > QUOTED_CHARS_MAX ? `${text.slice(0, QUOTED_CHARS_MAX)}…` : text);
}

/** A flag in its written form; quoted if it would not fit on a line. */
export function shown(text: string): string {
  return text.length <= QUOTED_CHARS_MAX && /^[\x21-\x7e]+$/.test(text) ? text : quote(text);
}

/** A whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number): Value<number> {
  return {
    accepts: `a whole number from ${min} to ${max}`,
    parse(text) {
      const number = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
      return number >= min && number <= max ? number : undefined;
    },
  };
}

/** Numbers separated by commas, each once. */
export function listOf(number: Value<number>, max: number): Value<readonly number[]> {
  return {
    accepts: `${number.accepts}, or up to ${max} of them separated by commas`,
    parse(text) {
      const numbers = text.split(",").map((part) => number.parse(part));
      const known = numbers.filter((value) => typeof value === "number");
      return known.length === numbers.length && known.length <= max ? [...new Set(known)] : undefined;
    },
  };
}

/** Numbers separated by commas, each once, or `any`. */
export function listOrAny(number: Value<number>, max: number): Value<readonly number[] | "any"> {
  const list = listOf(number, max);
  return {
    accepts: `${list.accepts}, or any`,
    parse: (text) => (text.toLowerCase() === "any" ? "any" : list.parse(text)),
  };
}

/** A limit that may be switched off: Infinity. */
export function wholeNumberOrOff(min: number, max: number): Value<number> {
  const number = wholeNumber(min, max);
  return {
    accepts: `${number.accepts}, or off`,
    parse: (text) => (text.toLowerCase() === "off" ? Infinity : number.parse(text)),
  };
}

/** A share from 0 to 1, written in percent. */
export const percent: Value<number> = {
  accepts: "a percentage from 0 to 100, such as 10 or 0.5%",
  parse(text) {
    const number = /^\d{1,3}(\.\d{1,9})?%?$/.test(text) ? parseFloat(text) : NaN;
    return number <= 100 ? number / 100 : undefined;
  },
};

const FACTOR_MIN = 0.001;
const FACTOR_MAX = 1000;

/** How much faster, or `max`. */
export const factorOrMax: Value<number | "max"> = {
  accepts: `max, or a number from ${FACTOR_MIN} to ${FACTOR_MAX}`,
  parse(text) {
    if (text.toLowerCase() === "max") return "max";
    const number = /^(\d{1,4}(\.\d{1,6})?|\.\d{1,6})$/.test(text) ? Number(text) : NaN;
    return number >= FACTOR_MIN && number <= FACTOR_MAX ? number : undefined;
  },
};

/** One of several words. */
export function oneOf<T extends string>(values: readonly T[]): Value<T> {
  return { accepts: values.join(", "), parse: (text) => values.find((value) => value === text.toLowerCase()) };
}

const YES = ["1", "true", "yes", "on"];
const NO = ["0", "false", "no", "off"];

/** The values of the variable of a flag without a value. */
export const yesOrNo: Value<boolean> = {
  accepts: `${YES.join(", ")}, or ${NO.join(", ")}`,
  parse(text) {
    const word = text.toLowerCase();
    return YES.includes(word) ? true : NO.includes(word) ? false : undefined;
  },
};

/** A path of a file. */
export const path: Value<string> = { accepts: "a path", parse: (text) => text };

/**
 * The path of an output file. `-` is refused: elsewhere it stands for standard output, and here it would be a file's
 * name.
 */
export const outputPath: Value<string> = {
  accepts: "a path of a file (./- for one of that name)",
  parse: (text) => (text === "-" ? undefined : text),
};

/** A user's name. */
export const userName: Value<string> = { accepts: "the name of a user", parse: (text) => text };

/** A header field's value of printable characters, without blanks. */
export const fieldValue: Value<string> = {
  accepts: "printable characters",
  parse: (text) => (/^[\x21-\x7e]+$/.test(text) ? text : undefined),
};

/** A name as TLS sends it (RFC 6066, section 3), or an address, which is not sent but verified. */
export const serverName: Value<string> = {
  accepts: "a host's name",
  parse: (text) => (/^[\w.:-]{1,253}$/.test(text) ? text : undefined),
};

/** A header field (RFC 9110, section 5.5); fields that frame the request may not be set. */
export const headerField: Value<Field> = {
  accepts: "'Name: value', of another field than Content-Length, Transfer-Encoding or Connection",
  parse(text) {
    const [, name, value] = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([\x20-\x7e]*?)[ \t]*$/.exec(text) ?? [];
    return name === undefined || value === undefined || !isEditable(name) ? undefined : [name, value];
  },
};

/** A header field's name, in lower case. */
export const headerName: Value<string> = {
  accepts: "the name of another field than Content-Length, Transfer-Encoding or Connection",
  parse: (text) => (isEditable(text) ? text.toLowerCase() : undefined),
};

/** A rule of --allow or --deny. */
export const rule: Value<Rule> = { accepts: "a rule (KIND:PATTERN)", parse: readRule };

/** The share of --sample; null: all requests. */
export const sample: Value<Sample | null> = { accepts: "PERCENT[:KEY]", parse: readSample };

/** A rewrite of --rewrite-path. */
export const rewrite: Value<Rewrite> = { accepts: "REGEX=>TEXT", parse: readRewrite };

/**
 * The original program's RUST_LOG may hold more than a level (target=level, ...): parts for other programs are no
 * error, because the scripts that set it were written for another one.
 */
export function rustLog(otherwise: LogLevel): Value<LogLevel> {
  return {
    accepts: "anything",
    parse(text) {
      let level = otherwise;
      for (const directive of text.toLowerCase().split(",")) {
        const [, target, name] = /^\s*(?:([\w:-]+)=)?(\w+)\s*$/.exec(directive) ?? [];
        if (target !== undefined && target !== "vxlan_to_http") continue;
        if (name === "off") level = "silent";
        level = LOG_LEVELS.find((known) => known === name) ?? level;
      }
      return level;
    },
  };
}
