/** Why a text that someone wrote (a rule, a pattern, a share) cannot be read, and where. */
export class Unreadable {
  /** `why`: what is so, to be read behind "Cannot use …:". `at`: the place, from 0, in the text as it was written. */
  constructor(
    readonly why: string,
    readonly at: number,
  ) {}

  /** The same in a text that has `length` characters more before it. */
  behind(length: number): Unreadable {
    return new Unreadable(this.why, this.at + length);
  }
}
