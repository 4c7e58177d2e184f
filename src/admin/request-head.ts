/** The head of a request to the admin port: as much of RFC 9112 as a GET without a body needs. */

export interface RequestHead {
  readonly method: string;
  /**
   * The path without the query; in a target of absolute-form (RFC 9112, section 3.2.2), the part behind the authority.
   */
  readonly path: string;
}

const REQUEST_LINE = /^([!#$%&'*+.^_`|~\w-]{1,32}) (\S+) HTTP\/1\.[01]$/;
const AUTHORITY = /^https?:\/\/[^/?#]*/i;

/**
 * The end of the head, behind its empty line; -1: it has not come yet. `from`: the head is known not to end before it.
 */
export function endOfHead(text: string, from: number): number {
  const crlf = text.indexOf("\r\n\r\n", from);
  const lf = text.indexOf("\n\n", from);
  if (crlf < 0 && lf < 0) return -1;
  return lf >= 0 && (crlf < 0 || lf < crlf) ? lf + 2 : crlf + 4;
}

/** Reads a whole head. Undefined: the text is no head. */
export function parseHead(text: string): RequestHead | undefined {
  // An empty line before the request line is skipped (RFC 9112, section 2.2).
  const line = text.replace(/^(\r?\n)+/, "").split(/\r?\n/, 1)[0]!;
  const [, method, target] = REQUEST_LINE.exec(line) ?? [];
  if (method === undefined || target === undefined) return undefined;
  const path = target.replace(AUTHORITY, "").replace(/[?#].*$/s, "");
  return { method, path: path === "" ? "/" : path };
}
