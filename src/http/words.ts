/**
 * Finds a token in a list of words, byte by byte, in any pieces: a trie in a table. It keeps no bytes, and never takes
 * one word for another, as a hash may.
 */

/** The state in which no word can follow. */
export const NO_MATCH = 0;
/** The state before the first byte. */
export const ROOT = 1;

/** A list of words, as a table that is followed byte by byte. */
export class Words {
  /** The state after `byte` (ASCII) in `state`: `next[(state << 7) | byte]`. */
  readonly next: Uint16Array;
  /** By state: 1 + the index of the word that ends here; 0: no word ends here. */
  readonly word: Uint8Array;

  /**
   * `dressed`: how many of the words, from the first, are also known in odd spellings, in which only the letters count.
   * An odd spelling counts as a word of its own; these stand behind the others, in the same order.
   */
  constructor(words: readonly string[], ignoreCase: boolean, dressed = 0) {
    const statesMax = 2 * (ROOT + 1 + words.join("").length);
    this.next = new Uint16Array(statesMax << 7);
    this.word = new Uint8Array(statesMax);
    let states = ROOT + 1;
    words.forEach((word, index) => {
      let state = ROOT;
      for (const letter of word) {
        const at = (state << 7) | letter.charCodeAt(0);
        if (this.next[at] === NO_MATCH) this.next[at] = states++;
        if (ignoreCase) {
          this.next[(state << 7) | letter.toLowerCase().charCodeAt(0)] = this.next[at]!;
          this.next[(state << 7) | letter.toUpperCase().charCodeAt(0)] = this.next[at]!;
        }
        state = this.next[at]!;
      }
      this.word[state] = index + 1;
    });
    if (dressed > 0) this.addDressed(words.slice(0, dressed), states, words.length);
  }

  /** Once a byte differs from the word's next one, only letters count: all other bytes are skipped. */
  private addDressed(words: readonly string[], firstFree: number, known: number): void {
    const { next, word } = this;
    let states = firstFree;
    const bare = new Map<string, number>();
    const bareOf = (letters: string): number => {
      if (!bare.has(letters)) bare.set(letters, states++);
      return bare.get(letters)!;
    };
    words.forEach((text, index) => {
      let exact = ROOT;
      for (let length = 0; length <= text.length; length++) {
        const letters = lettersOf(text.slice(0, length));
        const letter = lettersOf(text).at(letters.length);
        for (const state of [bareOf(letters), exact]) {
          for (let byte = 0; byte < 128; byte++) {
            const isNext = letter !== undefined && String.fromCharCode(byte).toLowerCase() === letter;
            const isLetter = lettersOf(String.fromCharCode(byte)) !== "";
            const at = (state << 7) | byte;
            if (next[at] === NO_MATCH && (isNext || !isLetter)) next[at] = bareOf(isNext ? letters + letter : letters);
          }
        }
        if (length < text.length) exact = next[(exact << 7) | text.charCodeAt(length)]!;
      }
      word[bareOf(lettersOf(text))] = known + index + 1;
    });
  }
}

function lettersOf(text: string): string {
  return text.replace(/[^a-z]/gi, "");
}
