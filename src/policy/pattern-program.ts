/**
 * Reads a pattern and compiles it to a program. The instructions are those of a machine that follows all ways through a
 * pattern at once (https://swtch.com/~rsc/regexp/regexp2.html): matching takes time in proportion to the text's length,
 * because strangers choose the paths that are matched. Back-references and look-around, which the machine cannot do,
 * are refused.
 */
import { Unreadable } from "../unreadable.ts";

/** The operations of instructions. */
export const Op = {
  /** Takes a byte of the set of index `a`, and goes on with the next instruction. */
  BYTE: 0,
  /** Goes on at `a` and at `b`; a match by way of `a` is preferred. */
  SPLIT: 1,
  /** Goes on at `a`. */
  JUMP: 2,
  /** Stores the place in the text as mark `a`: a group's beginning (even) or end (odd). */
  MARK: 3,
  START: 4,
  END: 5,
  MATCH: 6,
} as const;

/** One instruction; `a` and `b` as its operation needs them. */
export interface Instruction {
  readonly op: number;
  a: number;
  b: number;
}

/** A compiled pattern. */
export interface Program {
  readonly instructions: readonly Instruction[];
  /** Sets of bytes; in each, 1 at the index of every byte that it has. */
  readonly sets: readonly Uint8Array[];
  /** The number of groups in parentheses; the whole match is not among them. */
  readonly groups: number;
}

/** The longest pattern, in its written form. */
export const PATTERN_CHARS_MAX = 1000;
/** The most instructions of a compiled pattern, in which a part that is repeated {10} stands ten times. */
export const INSTRUCTIONS_MAX = 1000;
/** The most parts that are compiled: one that repeats nothing makes no instructions. */
export const PARTS_MAX = 10 * INSTRUCTIONS_MAX;

const BYTES = 256;
/** How often a part may be repeated, if not without end. */
const REPEAT_MAX = 1000;

type Node =
  | { readonly kind: "empty" | "start" | "end" }
  | { readonly kind: "set"; readonly set: Uint8Array }
  | { readonly kind: "sequence" | "either"; readonly nodes: readonly Node[] }
  | { readonly kind: "group"; readonly node: Node; readonly index: number }
  | {
      readonly kind: "repeat";
      readonly node: Node;
      readonly min: number;
      readonly max: number;
      readonly lazy: boolean;
    };

/** A regular expression as JavaScript writes it, over the bytes of ASCII. */
export function regexProgram(text: string): Program | Unreadable {
  try {
    const reader = new Reader(text);
    const node = reader.read();
    return new Compiler(node, reader.groups).program(text);
  } catch (error) {
    if (error instanceof Unreadable) return error;
    throw error;
  }
}

/**
 * Compiles a pattern for a whole text. `*` stands for any text; in a path, `*` stands for any text without a slash, and
 * `**` for any text.
 */
export function globProgram(text: string, kind: "path" | "text"): Program | Unreadable {
  const nodes: Node[] = [{ kind: "start" }];
  const bytes = Buffer.from(text, "utf8");
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] !== STAR) {
      nodes.push({ kind: "set", set: setOf((byte) => byte === bytes[at]) });
      continue;
    }
    const isDouble = bytes[at + 1] === STAR;
    if (isDouble) at++;
    const within = kind === "text" || isDouble ? setOf(() => true) : setOf((byte) => byte !== SLASH);
    nodes.push({ kind: "repeat", node: { kind: "set", set: within }, min: 0, max: Infinity, lazy: false });
  }
  nodes.push({ kind: "end" });
  try {
    return new Compiler({ kind: "sequence", nodes }, 0).program(text);
  } catch (error) {
    if (error instanceof Unreadable) return error;
    throw error;
  }
}

const STAR = 0x2a;
const SLASH = 0x2f;
const LF = 0x0a;
const CR = 0x0d;
const ASCII_MAX = 0x7f;

const SPECIAL = "\\^$.|?*+()[]{}/-";
const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39;
const isWord = (byte: number) => isDigit(byte) || byte === 0x5f || (byte >= 0x41 && byte <= 0x5a) || isLower(byte);
const isLower = (byte: number) => byte >= 0x61 && byte <= 0x7a;
/** White space among the characters of Latin-1, as JavaScript defines it. */
const isSpace = (byte: number) => (byte >= 0x09 && byte <= 0x0d) || byte === 0x20 || byte === 0xa0;
const CLASSES: Record<string, (byte: number) => boolean> = { d: isDigit, w: isWord, s: isSpace };

function setOf(has: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: BYTES }, (_, byte) => (has(byte) ? 1 : 0));
}

/** Reads a regular expression. Throws Unreadable. */
class Reader {
  groups = 0;
  private at = 0;

  constructor(private readonly text: string) {}

  read(): Node {
    if (this.text.length > PATTERN_CHARS_MAX)
      throw new Unreadable(`a pattern has at most ${PATTERN_CHARS_MAX} characters`, PATTERN_CHARS_MAX);
    const node = this.readEither();
    if (this.at < this.text.length) throw this.unreadable("a parenthesis that nothing has opened (write \\))");
    return node;
  }

  private readEither(): Node {
    const nodes = [this.readSequence()];
    while (this.skip("|")) nodes.push(this.readSequence());
    return nodes.length === 1 ? nodes[0]! : { kind: "either", nodes };
  }

  private readSequence(): Node {
    const nodes: Node[] = [];
    while (this.at < this.text.length && this.next !== "|" && this.next !== ")") nodes.push(this.readRepeated());
    return nodes.length === 1 ? nodes[0]! : { kind: "sequence", nodes };
  }

  private readRepeated(): Node {
    const isPlace = this.next === "^" || this.next === "$";
    const node = this.readOne();
    const from = this.at;
    const range = this.readRange();
    if (range === null) return node;
    if (isPlace) throw this.unreadable("a place cannot be repeated", from);
    const lazy = this.skip("?");
    if (/[*+?{]/.test(this.next)) throw this.unreadable("a repetition of a repetition (use parentheses)");
    return { kind: "repeat", node, ...range, lazy };
  }

  private readRange(): { min: number; max: number } | null {
    if (this.skip("*")) return { min: 0, max: Infinity };
    if (this.skip("+")) return { min: 1, max: Infinity };
    if (this.skip("?")) return { min: 0, max: 1 };
    if (this.next !== "{") return null;
    const [all, least, comma, most] = /^\{(\d{1,4})(,)?(\d{1,4})?\}/.exec(this.text.slice(this.at)) ?? [];
    if (all === undefined) throw this.unreadable("a brace that is no repetition (write \\{)");
    const min = Number(least);
    const max = comma === undefined ? min : most === undefined ? Infinity : Number(most);
    if (max < min || min > REPEAT_MAX || (max > REPEAT_MAX && max !== Infinity))
      throw this.unreadable(`a repetition goes from a smaller number to a larger one, up to ${REPEAT_MAX}`);
    this.at += all.length;
    return { min, max };
  }

  private readOne(): Node {
    const from = this.at;
    const char = this.next;
    this.at++;
    switch (char) {
      case "^":
        return { kind: "start" };
      case "$":
        return { kind: "end" };
      case ".":
        return { kind: "set", set: setOf((byte) => byte !== LF && byte !== CR) };
      case "(":
        return this.readGroup(from);
      case "[":
        return { kind: "set", set: this.readClass(from) };
      case "\\":
        return { kind: "set", set: this.readEscape(from) };
      case "*":
      case "+":
      case "?":
        throw this.unreadable("nothing that can be repeated stands before it", from);
      case "{":
      case "}":
      case "]":
        throw this.unreadable(`a bracket that nothing has opened (write \\${char})`, from);
      default:
        return { kind: "set", set: this.single(char, from) };
    }
  }

  private readGroup(from: number): Node {
    let index = 0;
    if (this.skip("?")) {
      if (!this.skip(":")) throw this.unreadable("only plain groups and (?: can be matched in bounded time", from);
    } else {
      index = ++this.groups;
    }
    const node = this.readEither();
    if (!this.skip(")")) throw this.unreadable("a group that is not closed", from);
    return index === 0 ? node : { kind: "group", node, index };
  }

  private readClass(from: number): Uint8Array {
    const isNot = this.skip("^");
    const set = new Uint8Array(BYTES);
    while (!this.skip("]")) {
      if (this.at >= this.text.length) throw this.unreadable("a class that is not closed", from);
      const at = this.at;
      const low = this.readMember();
      if (this.next !== "-" || this.text[this.at + 1] === "]" || this.at + 1 >= this.text.length) {
        add(set, low);
        continue;
      }
      this.at++;
      const high = this.readMember();
      const [first, last] = [only(low), only(high)];
      if (first < 0 || last < first) throw this.unreadable("a range goes from a smaller character to a larger one", at);
      for (let byte = first; byte <= last; byte++) set[byte] = 1;
    }
    return isNot ? set.map((has) => 1 - has) : set;
  }

  private readMember(): Uint8Array {
    const from = this.at++;
    const char = this.text[from];
    if (char === undefined) throw this.unreadable("a class that is not closed", from);
    return char === "\\" ? this.readEscape(from) : this.single(char, from);
  }

  /** Reads an escape, behind the backslash at `from`. */
  private readEscape(from: number): Uint8Array {
    const char = this.text[this.at++] ?? "";
    const known = CLASSES[char.toLowerCase()];
    if (known !== undefined) return setOf(char === char.toLowerCase() ? known : (byte) => !known(byte));
    if (char === "t") return setOf((byte) => byte === 0x09);
    if (char === "x") {
      const [digits] = /^[\da-f]{2}/i.exec(this.text.slice(this.at)) ?? [];
      if (digits === undefined) throw this.unreadable("\\x needs two hexadecimal digits", from);
      this.at += 2;
      return setOf((byte) => byte === parseInt(digits, 16));
    }
    if (/[1-9k]/.test(char)) throw this.unreadable("a back-reference cannot be matched in bounded time", from);
    if (char === "" || !SPECIAL.includes(char)) throw this.unreadable("an escape that is not known here", from);
    return this.single(char, from);
  }

  private single(char: string, at: number): Uint8Array {
    const code = char.charCodeAt(0);
    if (code > ASCII_MAX) throw this.unreadable("a character outside ASCII: paths have it percent-encoded", at);
    return setOf((byte) => byte === code);
  }

  private get next(): string {
    return this.text[this.at] ?? "";
  }

  private skip(char: string): boolean {
    if (this.next !== char) return false;
    this.at++;
    return true;
  }

  private unreadable(why: string, at = this.at): Unreadable {
    return new Unreadable(why, at);
  }
}

function add(set: Uint8Array, more: Uint8Array): void {
  for (let byte = 0; byte < BYTES; byte++) if (more[byte] === 1) set[byte] = 1;
}

/** The byte of a set that has exactly one; -1: the set has none, or several. */
function only(set: Uint8Array): number {
  const first = set.indexOf(1);
  return first === set.lastIndexOf(1) ? first : -1;
}

class Compiler {
  private readonly instructions: Instruction[] = [];
  private readonly sets: Uint8Array[] = [];
  private readonly indices = new Map<string, number>();
  /**
   * Parts that were compiled. They are limited too, because a part that repeats nothing, (){1000}, makes no
   * instructions.
   */
  private parts = 0;

  constructor(
    private readonly node: Node,
    private readonly groups: number,
  ) {}

  /** Throws Unreadable. */
  program(text: string): Program {
    if (text.length > PATTERN_CHARS_MAX)
      throw new Unreadable(`a pattern has at most ${PATTERN_CHARS_MAX} characters`, PATTERN_CHARS_MAX);
    this.emit(this.node);
    this.put(Op.MATCH);
    return { instructions: this.instructions, sets: this.sets, groups: this.groups };
  }

  private emit(node: Node): void {
    if (++this.parts > PARTS_MAX) throw this.tooLarge();
    switch (node.kind) {
      case "empty":
        return;
      case "start":
      case "end":
        this.put(node.kind === "start" ? Op.START : Op.END);
        return;
      case "set":
        this.put(Op.BYTE, this.indexOf(node.set));
        return;
      case "sequence":
        for (const each of node.nodes) this.emit(each);
        return;
      case "either":
        this.emitEither(node.nodes);
        return;
      case "group":
        this.put(Op.MARK, 2 * node.index);
        this.emit(node.node);
        this.put(Op.MARK, 2 * node.index + 1);
        return;
      case "repeat":
        this.emitRepeat(node);
    }
  }

  private emitEither(nodes: readonly Node[]): void {
    const ends: Instruction[] = [];
    nodes.forEach((node, i) => {
      if (i === nodes.length - 1) {
        this.emit(node);
        return;
      }
      const split = this.put(Op.SPLIT, this.here + 1);
      this.emit(node);
      ends.push(this.put(Op.JUMP));
      split.b = this.here;
    });
    for (const end of ends) end.a = this.here;
  }

  private emitRepeat({ node, min, max, lazy }: Extract<Node, { kind: "repeat" }>): void {
    for (let i = 0; i < min; i++) this.emit(node);
    if (max === Infinity) {
      const from = this.here;
      const split = this.put(Op.SPLIT);
      this.emit(node);
      this.put(Op.JUMP, from);
      this.aim(split, from + 1, this.here, lazy);
      return;
    }
    const splits: Instruction[] = [];
    for (let i = min; i < max; i++) {
      splits.push(this.put(Op.SPLIT, this.here + 1));
      this.emit(node);
    }
    for (const split of splits) this.aim(split, split.a, this.here, lazy);
  }

  private aim(split: Instruction, into: number, out: number, lazy: boolean): void {
    split.a = lazy ? out : into;
    split.b = lazy ? into : out;
  }

  private get here(): number {
    return this.instructions.length;
  }

  private put(op: number, a = 0, b = 0): Instruction {
    if (this.here === INSTRUCTIONS_MAX) throw this.tooLarge();
    const instruction = { op, a, b };
    this.instructions.push(instruction);
    return instruction;
  }

  private tooLarge(): Unreadable {
    return new Unreadable(`a pattern that is too large: its repetitions make more than ${INSTRUCTIONS_MAX} steps`, 0);
  }

  private indexOf(set: Uint8Array): number {
    const key = set.join("");
    const known = this.indices.get(key);
    if (known !== undefined) return known;
    this.indices.set(key, this.sets.length);
    this.sets.push(set);
    return this.sets.length - 1;
  }
}
