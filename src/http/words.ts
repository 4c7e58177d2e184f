/**
 * Tells which word of a list a token is, byte by byte, whatever pieces it comes in: a trie in a table.
 * It keeps no bytes, and two words are never taken for each other, as with a hash.
 */

/** The state in which no word can follow. */
export const NO_MATCH = 0;
/** The state before the first byte. */
export const ROOT = 1;

export class Words {
  /** The state after `byte` (ASCII) in `state`: `next[(state << 7) | byte]`. */
  readonly next: Uint16Array;
  /** By state: 1 + the index of the word that ends here; 0: none does. */
  readonly word: Uint8Array;

  constructor(words: readonly string[], ignoreCase: boolean) {
    const statesMax = ROOT + 1 + words.join("").length;
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
  }
}
