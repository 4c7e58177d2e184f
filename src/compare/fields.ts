/** The fields of a framed response's header section, by name. */

/** Fields by name in lower case, in the order in which the names first come; each with its values in their order. */
export type Fields = Map<string, string[]>;

/**
 * Reads the fields. `head`: status line and header section, each byte a character. Lines that are no field are passed
 * over.
 */
export function readFields(head: string): Fields {
  const fields: Fields = new Map();
  let values: string[] | null = null;
  let at = head.indexOf("\n") + 1;
  while (at > 0 && at < head.length) {
    const next = head.indexOf("\n", at);
    const end = next < 0 ? head.length : next;
    const first = head.charCodeAt(at);
    // A folded line continues the value before it (RFC 9112, section 5.2).
    if ((first === 0x20 || first === 0x09) && values !== null) {
      values.push(`${values.pop()!} ${head.slice(at, end).trim()}`);
    } else {
      const colon = head.indexOf(":", at);
      if (colon > at && colon < end) {
        const name = head.slice(at, colon).trimEnd().toLowerCase();
        const value = head.slice(colon + 1, end).trim();
        values = fields.get(name) ?? null;
        if (values === null) fields.set(name, (values = [value]));
        else values.push(value);
      }
    }
    at = next + 1;
  }
  return fields;
}

/** The value of a field; several fields are one list (RFC 9110, section 5.3). Empty: there is no such field. */
export function fieldOf(fields: Fields, name: string): string {
  return fields.get(name)?.join(", ") ?? "";
}

/** The names of the cookies that Set-Cookie fields set, sorted. */
export function cookieNames(values: readonly string[]): string {
  return values
    .map((value) => value.split("=", 1)[0]!.trim())
    .sort()
    .join(", ");
}
