/**
 * What may be changed in a request's header section, only if asked for: Host, other fields, and the
 * mark that keeps mirrored requests from being mirrored again.
 */

export const MARK_FIELD = "X-Mirrored-From";

export interface HeaderEdits {
  /** Takes the place of Host. */
  readonly host: string | undefined;
  /** Take the place of all fields of these names: [name, value]. */
  readonly fields: readonly (readonly [string, string])[];
  /** Adds the client's address, and refuses requests that already have it. */
  readonly mark: boolean;
}

/**
 * The header section with the edits: from the request line to the empty line, both included. Null:
 * it carries the mark already. `identity` is the flow's.
 */
export function editHead(head: Uint8Array, edits: HeaderEdits, identity: Int32Array): Uint8Array | null {
  const text = Buffer.from(head.buffer, head.byteOffset, head.length).toString("latin1");
  const lineEnd = text.includes("\r\n") ? "\r\n" : "\n";
  const [requestLine, ...lines] = text.split(/\r?\n/);
  const fields = lines.slice(0, lines.indexOf(""));
  if (edits.mark && fields.some((line) => nameOf(line) === MARK_FIELD.toLowerCase())) return null;

  const replaced = [...(edits.host === undefined ? [] : [["Host", edits.host] as const]), ...edits.fields];
  if (edits.mark) replaced.push([MARK_FIELD, clientAddress(identity)]);
  const names = new Set(replaced.map(([name]) => name.toLowerCase()));
  const kept: string[] = [];
  let dropping = false;
  for (const line of fields) {
    // A folded line belongs to the field before it.
    if (!/^[ \t]/.test(line)) dropping = names.has(nameOf(line));
    if (!dropping) kept.push(line);
  }
  const edited = [requestLine, ...replaced.map(([name, value]) => `${name}: ${value}`), ...kept, "", ""];
  return Buffer.from(edited.join(lineEnd), "latin1");
}

function nameOf(line: string): string {
  return line.slice(0, Math.max(line.indexOf(":"), 0)).trim().toLowerCase();
}

/** The client's address in the usual notation. */
export function clientAddress(identity: Int32Array): string {
  const words = identity.subarray(0, 4);
  if (words[0] === 0 && words[1] === 0 && words[2] === 0xffff) {
    return [24, 16, 8, 0].map((shift) => (words[3]! >>> shift) & 0xff).join(".");
  }
  const groups = [...words].flatMap((word) => [(word >>> 16) & 0xffff, word & 0xffff]);
  return groups.map((group) => group.toString(16)).join(":");
}
