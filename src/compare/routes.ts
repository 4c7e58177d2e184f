/** Routes: a request's path with what is an id replaced by {}, so that what one handler serves is one. */

/** The longest path that is told; longer ones are cut. */
export const ROUTE_PATH_LEN_MAX = 256;

const DIGITS = /^\d+$/;
const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i;
/** So many hexadecimal digits, and a digit among them, are no word. */
const LONG_HEX = /^(?=.*\d)[\da-f]{12,}$/i;
/** Letters and digits mixed, so long, are no name: tokens, ULIDs, base64. */
const LONG_MIXED = /^(?=[^\d]*\d)(?=[^a-z]*[a-z])[\w~.=+%-]{20,}$/i;
const ID = "{}";
/** Nothing that has none is an id. */
const DIGIT = /\d/;

/** The path of a request target, without its query (RFC 9112, section 3.2). */
export function pathOfTarget(target: string): string {
  const query = target.search(/[?#]/);
  const plain = query < 0 ? target : target.slice(0, query);
  if (plain.startsWith("/")) return plain;
  const [, path] = /^[a-z][a-z\d+.-]*:\/\/[^/]*(.*)$/i.exec(plain) ?? [];
  return path === undefined ? plain : path || "/";
}

/** `/users/17/orders/0b5f…` becomes `/users/{}/orders/{}`. */
export function routeOf(path: string): string {
  const bounded = path.length > ROUTE_PATH_LEN_MAX ? path.slice(0, ROUTE_PATH_LEN_MAX) : path;
  if (!DIGIT.test(bounded)) return bounded;
  const segments = bounded.split("/");
  return segments.map((segment) => (isId(segment) ? ID : segment)).join("/");
}

function isId(segment: string): boolean {
  return DIGITS.test(segment) || UUID.test(segment) || LONG_HEX.test(segment) || LONG_MIXED.test(segment);
}
