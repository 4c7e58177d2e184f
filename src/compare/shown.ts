/**
 * Shows both sides of a difference as text of at most 1 KiB, without secrets. Of two texts, it shows the characters
 * around the first place where they differ.
 */
import { BLOT, type Redactor } from "../redact/redactor.ts";
import type { Difference, Side } from "./difference.ts";
import { JsonKind, type JsonValue } from "./json.ts";
import { pathOf } from "./json-difference.ts";

/** The most bytes of UTF-8 of one side. */
export const SHOWN_BYTES_MAX = 1024;
/** How many characters are shown before the place where two texts begin to differ. */
const BEFORE_LEN = 24;
/** How many characters on each side of that place are searched for secrets: their names stand before them. */
const WINDOW_LEN = 8192;

export interface Shown {
  readonly production: string;
  readonly endpoint: string;
}

/** Both sides of a difference as text; empty: the side has nothing there. */
export function show(difference: Difference, redactor: Redactor): Shown {
  const { kind, where, production, endpoint } = difference;
  if (kind === "text") return showTexts(production as string, endpoint as string, redactor);
  if (kind === "header") {
    return { production: field(where, production, redactor), endpoint: field(where, endpoint, redactor) };
  }
  return { production: side(difference, production, redactor), endpoint: side(difference, endpoint, redactor) };
}

function field(name: string, value: Side, redactor: Redactor): string {
  return value === null ? "" : cut(redactor.header(name, value as string));
}

function side({ where, names }: Difference, value: Side, redactor: Redactor): string {
  if (value === null || typeof value === "string") return value ?? "";
  const writer = new Writer(redactor);
  writer.write(value, where, [...names]);
  return cut(redactor.text(writer.text));
}

/** Writes a value as JSON, up to the length that is shown. */
class Writer {
  text = "";

  constructor(private readonly redactor: Redactor) {}

  write(value: JsonValue, path: string, names: string[]): void {
    if (this.text.length > WINDOW_LEN) return;
    if (this.redactor.isSecretPlace(path, names)) this.text += `"${BLOT}"`;
    else if (value.kind === JsonKind.OBJECT) this.writeObject(value, path, names);
    else if (value.kind === JsonKind.ARRAY) this.writeArray(value, path, names);
    else if (value.kind === JsonKind.STRING) this.text += JSON.stringify(value.text.slice(0, WINDOW_LEN));
    else this.text += value.text.slice(0, WINDOW_LEN);
  }

  private writeObject({ names: members, items }: JsonValue, path: string, names: string[]): void {
    this.text += "{";
    for (let i = 0; i < items.length && this.text.length <= WINDOW_LEN; i++) {
      const name = members[i]!;
      this.text += `${i === 0 ? "" : ","}${JSON.stringify(name)}:`;
      names.push(name);
      this.write(items[i]!, path === "" ? pathOf([name]) : `${path}${withDot(pathOf([name]))}`, names);
      names.pop();
    }
    this.text += "}";
  }

  private writeArray({ items }: JsonValue, path: string, names: string[]): void {
    this.text += "[";
    for (let i = 0; i < items.length && this.text.length <= WINDOW_LEN; i++) {
      if (i > 0) this.text += ",";
      this.write(items[i]!, `${path}[]`, names);
    }
    this.text += "]";
  }
}

function withDot(step: string): string {
  return step.startsWith("[") ? step : `.${step}`;
}

/** Secrets are looked for first, because their names may stand before the place where the texts begin to differ. */
function showTexts(production: string, endpoint: string, redactor: Redactor): Shown {
  const from = Math.max(partAt(production, endpoint) - WINDOW_LEN, 0);
  const window = (text: string) => redactor.text(text.slice(from, from + 2 * WINDOW_LEN));
  const [a, b] = [window(production), window(endpoint)];
  const start = Math.max(partAt(a, b) - BEFORE_LEN, 0);
  const shown = (text: string) => cut(`${start + from > 0 ? "…" : ""}${text.slice(start, start + SHOWN_BYTES_MAX)}`);
  return { production: shown(a), endpoint: shown(b) };
}

/** The first place where two texts differ. */
function partAt(a: string, b: string): number {
  const least = Math.min(a.length, b.length);
  let at = 0;
  while (at < least && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  return at;
}

/** Cuts a text to {@link SHOWN_BYTES_MAX}, between characters. */
export function cut(text: string): string {
  if (text.length * 3 <= SHOWN_BYTES_MAX || Buffer.byteLength(text) <= SHOWN_BYTES_MAX) return text;
  const room = SHOWN_BYTES_MAX - Buffer.byteLength("…");
  const bytes = new Uint8Array(room);
  const { read } = new TextEncoder().encodeInto(text, bytes);
  return `${text.slice(0, read)}…`;
}
