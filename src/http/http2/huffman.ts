/**
 * HPACK's Huffman code, four bits at a time.
 * https://www.rfc-editor.org/rfc/rfc7541#appendix-B
 *
 * The code is canonical: it follows from the lengths of its words.
 */

// prettier-ignore
const WORD_LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
  10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
  5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
  22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
  22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
  27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
  27, 27, 27, 27, 27, 26, 30,
];
/** The symbol that never stands in a string. */
const END_OF_STRING = 256;
/** One less than there are symbols, because the code's tree is full. */
const STATES = END_OF_STRING;
const NIBBLE_BITS = 4;
const NIBBLES = 1 << NIBBLE_BITS;
/** A string may end with the beginning of a word, if that is at most this many ones (section 5.2). */
const PADDING_BITS_MAX = 7;
/** The shortest word, in bits: a byte of code is at most 8/5 bytes of text. */
const WORD_BITS_MIN = 5;

const NOTHING = -1;
const INVALID = -2;

/** The state behind four more bits, `next[(state << 4) | bits]`, and the symbol that ends there. */
const next = new Uint8Array(STATES * NIBBLES);
const symbols = new Int16Array(STATES * NIBBLES).fill(NOTHING);
/** By state: whether a string may end there. */
const mayEnd = new Uint8Array(STATES);

build();

/** The most bytes that {@link decodeHuffman} writes for `length` bytes of code. */
export function decodedLengthMax(length: number): number {
  return Math.floor((length * 8) / WORD_BITS_MIN);
}

/**
 * Writes the text to the beginning of `target` (long enough for {@link decodedLengthMax}). Returns its length; -1: the
 * bytes are not of this code.
 */
export function decodeHuffman(bytes: Uint8Array, at: number, end: number, target: Uint8Array): number {
  let state = 0;
  let length = 0;
  for (; at < end; at++) {
    const byte = bytes[at]!;
    const high = (state << NIBBLE_BITS) | (byte >> NIBBLE_BITS);
    const first = symbols[high]!;
    const low = (next[high]! << NIBBLE_BITS) | (byte & (NIBBLES - 1));
    const second = symbols[low]!;
    if (first === INVALID || second === INVALID) return -1;
    if (first >= 0) target[length++] = first;
    if (second >= 0) target[length++] = second;
    state = next[low]!;
  }
  return mayEnd[state] === 1 ? length : -1;
}

/** The tree's inner nodes are the states, its leaves the symbols. */
function build(): void {
  const children = new Int32Array(2 * STATES).fill(NOTHING);
  let nodes = 1;
  for (const [symbol, word, length] of words()) {
    let node = 0;
    for (let bit = length - 1; bit > 0; bit--) {
      const at = 2 * node + ((word >>> bit) & 1);
      if (children[at] === NOTHING) children[at] = nodes++;
      node = children[at]!;
    }
    // Leaves are behind the inner nodes.
    children[2 * node + (word & 1)] = STATES + symbol;
  }
  for (let node = 0, depth = 0; depth <= PADDING_BITS_MAX; depth++) {
    mayEnd[node] = 1;
    node = children[2 * node + 1]!;
  }
  for (let state = 0; state < STATES; state++) for (let bits = 0; bits < NIBBLES; bits++) walk(children, state, bits);
}

function walk(children: Int32Array, state: number, bits: number): void {
  const at = (state << NIBBLE_BITS) | bits;
  let node = state;
  for (let bit = NIBBLE_BITS - 1; bit >= 0; bit--) {
    node = children[2 * node + ((bits >> bit) & 1)]!;
    if (node < STATES) continue;
    symbols[at] = node - STATES === END_OF_STRING ? INVALID : node - STATES;
    node = 0;
  }
  next[at] = node;
}

/** Symbol, word, and the word's length, the shortest first. */
function* words(): Generator<[symbol: number, word: number, length: number]> {
  const order = WORD_LENGTHS.map((length, symbol) => ({ length, symbol }));
  order.sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  let word = 0;
  let before = order[0]!.length;
  for (const { length, symbol } of order) {
    word <<= length - before;
    before = length;
    yield [symbol, word, length];
    word++;
  }
}
