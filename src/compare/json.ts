/**
 * Reads JSON into a tree that keeps what JSON.parse would lose: numbers as they are written, and members with the same
 * name. https://www.rfc-editor.org/rfc/rfc8259 A text that is too deep, or has too many values, is not read: it is
 * compared as text.
 */

/** The deepest nesting that is read. */
export const JSON_DEPTH_MAX = 128;
/** The most values, members and elements together, of one text. */
export const JSON_VALUES_MAX = 262_144;

/** The kinds of JSON values. */
export const JsonKind = { OBJECT: 0, ARRAY: 1, STRING: 2, NUMBER: 3, BOOLEAN: 4, NULL: 5 } as const;

const NO_NAMES: readonly string[] = [];
const NO_ITEMS: readonly JsonValue[] = [];

/** One value. In an object, `names` and `items` are the members, in order. */
export class JsonValue {
  /** See {@link hashOf}; 0: not computed yet. */
  hash = 0;

  constructor(
    readonly kind: number,
    /** A string's characters, with escapes replaced; a number, true, false and null as it is written. */
    readonly text: string,
    readonly names: readonly string[] = NO_NAMES,
    readonly items: readonly JsonValue[] = NO_ITEMS,
  ) {}
}

/** Reads a text. Null: it is no JSON, or is beyond the limits. */
export function parseJson(text: string): JsonValue | null {
  const reader = new Reader(text);
  const value = reader.value(0);
  return value !== null && reader.isAtEnd ? value : null;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const TRUE = new JsonValue(JsonKind.BOOLEAN, "true");
const FALSE = new JsonValue(JsonKind.BOOLEAN, "false");
const NULL = new JsonValue(JsonKind.NULL, "null");

class Reader {
  private at = 0;
  private values = 0;

  constructor(private readonly text: string) {}

  get isAtEnd(): boolean {
    this.skipBlanks();
    return this.at === this.text.length;
  }

  value(depth: number): JsonValue | null {
    this.skipBlanks();
    if (depth > JSON_DEPTH_MAX || ++this.values > JSON_VALUES_MAX) return null;
    switch (this.text[this.at]) {
      case "{":
        return this.object(depth);
      case "[":
        return this.array(depth);
      case '"': {
        const text = this.string();
        return text === null ? null : new JsonValue(JsonKind.STRING, text);
      }
      case "t":
        return this.word("true", TRUE);
      case "f":
        return this.word("false", FALSE);
      case "n":
        return this.word("null", NULL);
      default:
        return this.number();
    }
  }

  private object(depth: number): JsonValue | null {
    const names: string[] = [];
    const items: JsonValue[] = [];
    this.at++;
    if (this.takes("}")) return new JsonValue(JsonKind.OBJECT, "", names, items);
    for (;;) {
      this.skipBlanks();
      const name = this.text[this.at] === '"' ? this.string() : null;
      if (name === null || !this.takes(":")) return null;
      const value = this.value(depth + 1);
      if (value === null) return null;
      names.push(name);
      items.push(value);
      if (this.takes("}")) return new JsonValue(JsonKind.OBJECT, "", names, items);
      if (!this.takes(",")) return null;
    }
  }

  private array(depth: number): JsonValue | null {
    const items: JsonValue[] = [];
    this.at++;
    if (this.takes("]")) return new JsonValue(JsonKind.ARRAY, "", NO_NAMES, items);
    for (;;) {
      const value = this.value(depth + 1);
      if (value === null) return null;
      items.push(value);
      if (this.takes("]")) return new JsonValue(JsonKind.ARRAY, "", NO_NAMES, items);
      if (!this.takes(",")) return null;
    }
  }

  private string(): string | null {
    const { text } = this;
    const from = this.at;
    let hasEscape = false;
    for (let at = from + 1; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) {
        this.at = at + 1;
        return hasEscape ? unescaped(text.slice(from, at + 1)) : text.slice(from + 1, at);
      }
      if (code < SPACE) return null;
      if (code !== BACKSLASH) continue;
      hasEscape = true;
      at++;
    }
    return null;
  }

  private number(): JsonValue | null {
    NUMBER.lastIndex = this.at;
    const [text] = NUMBER.exec(this.text) ?? [];
    if (text === undefined) return null;
    this.at += text.length;
    return new JsonValue(JsonKind.NUMBER, text);
  }

  private word(word: string, value: JsonValue): JsonValue | null {
    if (!this.text.startsWith(word, this.at)) return null;
    this.at += word.length;
    return value;
  }

  private takes(character: string): boolean {
    this.skipBlanks();
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private skipBlanks(): void {
    const { text } = this;
    for (; this.at < text.length; this.at++) {
      const code = text.charCodeAt(this.at);
      if (code !== SPACE && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
    }
  }
}

function unescaped(literal: string): string | null {
  try {
    return JSON.parse(literal) as string;
  } catch {
    return null;
  }
}

/**
 * Whether two numbers are the same, in any notation and with any number of digits. (As doubles, 9007199254740993 and
 * 9007199254740992 would be the same.)
 */
export function isSameNumber(a: string, b: string): boolean {
  return a === b || plainNumber(a) === plainNumber(b);
}

/** A number's digits without leading and trailing zeros, and the power of ten of the last digit. */
function plainNumber(text: string): string {
  const [, sign, whole, fraction = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text)!;
  const digits = (whole! + fraction).replace(/^0+/, "");
  if (digits === "") return "0";
  const significant = digits.replace(/0+$/, "");
  const power = BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - significant.length);
  return `${sign}${significant}e${power}`;
}

/** Whether two values are the same. Members may have any order; those with the same name have theirs. */
export function isSameJson(a: JsonValue, b: JsonValue): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind || hashOf(a) !== hashOf(b)) return false;
  switch (a.kind) {
    case JsonKind.OBJECT:
      return isSameObject(a, b);
    case JsonKind.ARRAY:
      return a.items.length === b.items.length && a.items.every((item, i) => isSameJson(item, b.items[i]!));
    case JsonKind.NUMBER:
      return isSameNumber(a.text, b.text);
    default:
      return a.text === b.text;
  }
}

function isSameObject(a: JsonValue, b: JsonValue): boolean {
  if (a.items.length !== b.items.length) return false;
  // Nearly always the members have the same order.
  if (a.names.every((name, i) => name === b.names[i])) return a.items.every((item, i) => isSameJson(item, b.items[i]!));
  const others = membersOf(b);
  for (const [name, values] of membersOf(a)) {
    const other = others.get(name);
    if (other?.length !== values.length || !values.every((value, i) => isSameJson(value, other[i]!))) return false;
  }
  return true;
}

/** An object's values by name; those with the same name in their order. */
export function membersOf({ names, items }: JsonValue): Map<string, JsonValue[]> {
  const members = new Map<string, JsonValue[]>();
  for (let i = 0; i < names.length; i++) {
    const values = members.get(names[i]!);
    if (values === undefined) members.set(names[i]!, [items[i]!]);
    else values.push(items[i]!);
  }
  return members;
}

const PRIME = 0x01000193;

/** Equal for values that are the same; never 0. Computed once. */
export function hashOf(value: JsonValue): number {
  if (value.hash !== 0) return value.hash;
  let hash = value.kind + 1;
  if (value.kind === JsonKind.OBJECT) {
    // The sum does not depend on the members' order.
    value.items.forEach((item, i) => (hash = (hash + mix(hashOfText(value.names[i]!), hashOf(item))) | 0));
  } else if (value.kind === JsonKind.ARRAY) {
    for (const item of value.items) hash = mix(hash, hashOf(item));
  } else {
    hash = mix(hash, hashOfText(value.kind === JsonKind.NUMBER ? plainNumber(value.text) : value.text));
  }
  value.hash = hash === 0 ? 1 : hash;
  return value.hash;
}

function hashOfText(text: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), PRIME);
  return hash;
}

function mix(a: number, b: number): number {
  const mixed = Math.imul(a ^ (b >>> 15), 0x85ebca6b) ^ Math.imul(b, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 13)) | 0;
}
