/** Routes: a request's path with its ids replaced by {}, so that all requests for one handler have one route. */

/** The longest path of a route; longer ones are cut. */
export const ROUTE_PATH_LEN_MAX = 256;

const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i;
/** This many hexadecimal digits, with a decimal digit among them, are no word. */
const LONG_HEX = /^(?=.*\d)[\da-f]{12,}$/i;
/** Letters and digits mixed, of this length, are no name: tokens, ULIDs, base64. */
const LONG_MIXED = /^(?=[^\d]*\d)(?=[^a-z]*[a-z])[\w~.=+%-]{20,}$/i;
const ID = "{}";
const SLASH = 47;
const ZERO = 48;
const NINE = 57;

/** The path of a request target, without its query (RFC 9112, section 3.2). */
export function pathOfTarget(target: string): string {
  const plain = before(before(target, "?"), "#");
  if (plain.startsWith("/")) return plain;
  const [, path] = /^[a-z][a-z\d+.-]*:\/\/[^/]*(.*)$/i.exec(plain) ?? [];
  return path === undefined ? plain : path || "/";
}

function before(text: string, mark: string): string {
  const at = text.indexOf(mark);
  return at < 0 ? text : text.slice(0, at);
}

/** The route of a path: `/users/17/orders/0b5f…` becomes `/users/{}/orders/{}`. */
export function routeOf(path: string): string {
  const bounded = path.length > ROUTE_PATH_LEN_MAX ? path.slice(0, ROUTE_PATH_LEN_MAX) : path;
  let route = "";
  let copied = 0;
  for (let start = 0; start < bounded.length;) {
    let digits = 0;
    let end = start;
    for (; end < bounded.length; end++) {
      const character = bounded.charCodeAt(end);
      if (character === SLASH) break;
      if (character >= ZERO && character <= NINE) digits++;
    }
    // A segment without a digit is no id.
    if (digits > 0 && (digits === end - start || isLongId(bounded.slice(start, end)))) {
      route += bounded.slice(copied, start) + ID;
      copied = end;
    }
    start = end + 1;
  }
  return copied === 0 ? bounded : route + bounded.slice(copied);
}

function isLongId(segment: string): boolean {
  return UUID.test(segment) || LONG_HEX.test(segment) || LONG_MIXED.test(segment);
}
