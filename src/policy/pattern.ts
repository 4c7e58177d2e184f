/**
 * Matches a pattern in time in proportion to the text's length. An automaton finds whether the pattern matches: it
 * makes each state when it first meets it, and keeps a bounded number. {@link find} finds where the pattern matches, by
 * following all ways at once.
 */
import { type Instruction, Op, type Program } from "./pattern-program.ts";

/** The most states that are kept; beyond it all are made anew, so that a text cannot fill the memory. */
export const STATES_MAX = 256;

const BYTES = 256;
const NOWHERE = -1;

/** All places in a program that can be reached with the text so far. */
interface State {
  /** Instructions that take a byte. */
  readonly waiting: readonly number[];
  /** The next state, by class of bytes. */
  readonly next: (State | undefined)[];
  /** The pattern has matched, with any further text. */
  readonly isMatch: boolean;
  /** The pattern has matched if the text ends here. */
  readonly isMatchAtEnd: boolean;
}

/** A compiled pattern. Texts are strings of Latin-1: a character for each byte. */
export class Pattern {
  private readonly instructions: readonly Instruction[];
  /** By byte: its class. Bytes that no set of the program distinguishes have the same class. */
  private readonly classOf = new Uint8Array(BYTES);
  /** By class: one of its bytes. */
  private readonly byteOf: number[] = [];
  private states = new Map<string, State>();
  private start: State;

  constructor(private readonly program: Program) {
    this.instructions = program.instructions;
    const classes = new Map<string, number>();
    for (let byte = 0; byte < BYTES; byte++) {
      const key = program.sets.map((set) => set[byte]).join("");
      if (!classes.has(key)) classes.set(key, this.byteOf.push(byte) - 1);
      this.classOf[byte] = classes.get(key)!;
    }
    this.start = this.stateOf([0], true);
  }

  /** Whether the pattern matches somewhere in the text. */
  matches(text: string): boolean {
    let state = this.start;
    for (let at = 0; at < text.length; at++) {
      if (state.isMatch) return true;
      const byteClass = this.classOf[text.charCodeAt(at)]!;
      state = state.next[byteClass] ?? this.step(state, byteClass);
    }
    return state.isMatch || state.isMatchAtEnd;
  }

  private step(state: State, byteClass: number): State {
    const byte = this.byteOf[byteClass]!;
    const reached = state.waiting.filter((at) => this.program.sets[this.instructions[at]!.a]![byte] === 1);
    // A match may begin at every place.
    const next = this.stateOf([...reached.map((at) => at + 1), 0], false);
    state.next[byteClass] = next;
    return next;
  }

  private stateOf(places: readonly number[], isStart: boolean): State {
    const { waiting, isMatch } = this.follow(places, isStart, false);
    const { isMatch: isMatchAtEnd } = this.follow(places, isStart, true);
    const key = `${waiting.join()} ${isMatch} ${isMatchAtEnd}`;
    const known = this.states.get(key);
    if (known !== undefined) return known;
    if (this.states.size === STATES_MAX) this.forget();
    const state = { waiting, next: [], isMatch, isMatchAtEnd };
    this.states.set(key, state);
    return state;
  }

  /** Forgets all states, and the links between them. (The state under way gets its link afterwards.) */
  private forget(): void {
    for (const state of this.states.values()) state.next.length = 0;
    this.states.clear();
  }

  /** Follows the program from some places, as far as no byte is needed. */
  private follow(places: readonly number[], isStart: boolean, isEnd: boolean) {
    const seen = new Set<number>();
    const waiting: number[] = [];
    const left = [...places];
    let isMatch = false;
    for (let at = left.pop(); at !== undefined; at = left.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      const { op, a, b } = this.instructions[at]!;
      if (op === Op.BYTE) waiting.push(at);
      else if (op === Op.SPLIT) left.push(a, b);
      else if (op === Op.JUMP) left.push(a);
      else if (op === Op.MATCH) isMatch = true;
      else if (op === Op.MARK || (op === Op.START && isStart) || (op === Op.END && isEnd)) left.push(at + 1);
    }
    return { waiting: waiting.sort((one, other) => one - other), isMatch };
  }
}

/** A way through the program, and the marks on it. */
interface Way {
  readonly at: number;
  readonly marks: readonly number[];
}

/**
 * Finds the first match of a program in a text. Returns the offsets where the whole match, then each group, begins and
 * ends; -1: the group took no part. Null: the program does not match.
 */
export function find(program: Program, text: string): readonly number[] | null {
  const { instructions, sets } = program;
  const unmarked = new Array<number>(2 * program.groups + 2).fill(NOWHERE);
  let ways: Way[] = [];
  let found: readonly number[] | null = null;
  /** By instruction: 1 + the place at which a way has last passed it. */
  const seen = new Int32Array(instructions.length);
  for (let place = 0; place <= text.length; place++) {
    if (found === null) ways.push({ at: 0, marks: unmarked.with(0, place) });
    const next: Way[] = [];
    const byte = text.charCodeAt(place);
    for (const way of ways) {
      const end = follow(instructions, way, place, text.length, seen, (at, marks) => {
        if (place < text.length && sets[instructions[at]!.a]![byte] === 1) next.push({ at: at + 1, marks });
      });
      if (end === null) continue;
      // The ways behind this one are less preferred.
      found = end.with(1, place);
      break;
    }
    ways = next;
    if (ways.length === 0 && found !== null) break;
  }
  return found;
}

/** Goes on from a way's place, the preferred branch first. Returns the marks if the way ends with a match. */
function follow(
  instructions: readonly Instruction[],
  way: Way,
  place: number,
  length: number,
  seen: Int32Array,
  takes: (at: number, marks: readonly number[]) => void,
): readonly number[] | null {
  const left = [way];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { at, marks } = next;
    if (seen[at] === place + 1) continue;
    seen[at] = place + 1;
    const { op, a, b } = instructions[at]!;
    if (op === Op.MATCH) return marks;
    if (op === Op.BYTE) takes(at, marks);
    else if (op === Op.SPLIT) left.push({ at: b, marks }, { at: a, marks });
    else if (op === Op.JUMP) left.push({ at: a, marks });
    else if (op === Op.MARK) left.push({ at: at + 1, marks: marks.with(a, place) });
    else if ((op === Op.START && place === 0) || (op === Op.END && place === length)) left.push({ at: at + 1, marks });
  }
  return null;
}
