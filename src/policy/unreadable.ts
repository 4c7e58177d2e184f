/** Tells why, and where, a text that someone wrote (a rule, a pattern, a share) cannot be read. */
export class Unreadable {
  /**
   * `why`: the reason, in words that follow "Cannot use …:". `at`: the place, from 0, in the text as it was written.
   */
  constructor(
    readonly why: string,
    readonly at: number,
  ) {}

  /** The same fault in a text with `length` more characters before this one. */
  behind(length: number): Unreadable {
    return new Unreadable(this.why, this.at + length);
  }
}
