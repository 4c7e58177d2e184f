/**
 * What may be changed in a request's header section, only if asked for: Host, other fields, and the
 * mark that keeps mirrored requests from being mirrored again.
 */

export const MARK_FIELD = "X-Mirrored-From";

export interface HeaderEdits {
  /** Takes the place of Host, and of the authority in a target of absolute-form. */
  readonly host: string | undefined;
  /** Take the place of all fields of these names: [name, value]. */
  readonly fields: readonly (readonly [string, string])[];
  /** Adds the client's address, and refuses requests that already have it. */
  readonly mark: boolean;
}

/** Scheme, and the authority behind it, of a target of absolute-form (RFC 9112, section 3.2.2). */
const ABSOLUTE_FORM = /^([!#$%&'*+.^`|~\w-]+[ \t]+[a-z][a-z0-9+.-]*:\/\/)[^/?#\s]*/i;

/**
 * The header section with the edits: from the request line to the empty line, both included. Null:
 * it carries the mark already. `client`: the client's address as text.
 */
export function editHead(head: Uint8Array, edits: HeaderEdits, client: string): Uint8Array | null {
  const text = Buffer.from(head.buffer, head.byteOffset, head.length).toString("latin1");
  const lineEnd = text.includes("\r\n") ? "\r\n" : "\n";
  const [requestLine, ...lines] = text.split(/\r?\n/);
  const fields = lines.slice(0, lines.indexOf(""));
  if (edits.mark && fields.some((line) => nameOf(line) === MARK_FIELD.toLowerCase())) return null;

  const replaced = [...(edits.host === undefined ? [] : [["Host", edits.host] as const]), ...edits.fields];
  if (edits.mark) replaced.push([MARK_FIELD, client]);
  const names = new Set(replaced.map(([name]) => name.toLowerCase()));
  const kept: string[] = [];
  // A folded line belongs to the field before it; one before all fields is to be ignored (RFC 9112, section 2.2).
  let dropping = true;
  for (const line of fields) {
    if (!/^[ \t]/.test(line)) dropping = names.has(nameOf(line));
    if (!dropping) kept.push(line);
  }
  const added = replaced.map(([name, value]) => `${name}: ${value}`);
  const host = edits.host ?? edits.fields.find(([name]) => name.toLowerCase() === "host")?.[1];
  return Buffer.from([withHost(requestLine!, host), ...added, ...kept, "", ""].join(lineEnd), "latin1");
}

/** In absolute-form the target's authority is what counts, and not the field (RFC 9112, section 3.2.2). */
function withHost(requestLine: string, host: string | undefined): string {
  return host === undefined ? requestLine : requestLine.replace(ABSOLUTE_FORM, (_, before: string) => before + host);
}

function nameOf(line: string): string {
  return line
    .slice(0, Math.max(line.indexOf(":"), 0))
    .trim()
    .toLowerCase();
}
