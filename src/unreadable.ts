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

/** No character of a token (RFC 9110, section 5.6.2), or `*`: no field has it in its name, and whoever writes it means several. */
const NO_NAME = /[^!#$%&'+.^`|~\w-]/;

/** Why a text names no field, query field or cookie; null: it names one. */
export function whyNoName(text: string): Unreadable | null {
  const at = text.search(NO_NAME);
  if (text !== "" && at < 0) return null;
  const isPattern = text[at] === "*";
  return new Unreadable(isPattern ? "a name is expected, and no pattern" : "a name is expected", Math.max(at, 0));
}
