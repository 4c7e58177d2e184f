/** The reason, and the place, if a written text (a rule, a pattern, a share) cannot be read. */
export class Unreadable {
  /** `why`: the reason, in words that follow "Cannot use …:". `at`: the place, from 0, in the written text. */
  constructor(
    readonly why: string,
    readonly at: number,
  ) {}

  /** The same fault in a text with `length` more characters before this one. */
  behind(length: number): Unreadable {
    return new Unreadable(this.why, this.at + length);
  }
}

/**
 * A character that no token has (RFC 9110, section 5.6.2), or `*`: no field has `*` in its name, and a user who writes
 * it means several fields.
 */
const NO_NAME = /[^!#$%&'+.^`|~\w-]/;

/** Why a text names no field, query field or cookie; null: it names one. */
export function whyNoName(text: string): Unreadable | null {
  const at = text.search(NO_NAME);
  if (text !== "" && at < 0) return null;
  const isPattern = text[at] === "*";
  return new Unreadable(isPattern ? "a name is expected, and no pattern" : "a name is expected", Math.max(at, 0));
}

/** The reason why a pattern would match no path. */
export const PATHS_BEGIN = "a path begins with a slash";

/** Whether a pattern of paths matches none: such a rule would let requests pass that it should keep back. */
export function isNoPath(glob: string): boolean {
  return !/^[/*]/.test(glob);
}
