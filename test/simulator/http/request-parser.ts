/** The endpoint's own reading of requests: as little as needed, and no code of the program. */

export interface ParsedHead {
  readonly method: string;
  readonly id: string;
  readonly minor: number;
  readonly length: number;
  readonly expectsContinue: boolean;
  readonly wantsUpgrade: boolean;
  readonly closes: boolean;
}

/** The head at the beginning of the bytes; null: it is not whole. Throws if the bytes are no head. */
export function parseHead(bytes: Buffer): ParsedHead | null {
  const crlf = bytes.indexOf("\r\n\r\n");
  const lf = bytes.indexOf("\n\n");
  if (crlf < 0 && lf < 0) return null;
  const length = crlf >= 0 && (lf < 0 || crlf < lf) ? crlf + 4 : lf + 2;
  const lines = bytes
    .toString("latin1", 0, length)
    .replaceAll(/\r?\n[ \t]+/g, " ")
    .split(/\r?\n/);
  const line = /^(\S+) (.+) HTTP\/1\.(0|1|10)[ \t]*$/.exec(lines[0]!);
  if (line === null) throw new Error(`the endpoint was sent ${JSON.stringify(lines[0])}`);
  const field = (name: string) =>
    lines
      .find((text) => text.toLowerCase().startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim() ?? "";
  const connection = field("connection").toLowerCase();
  const minor = Math.min(Number(line[3]), 1);
  return {
    method: line[1]!,
    id: field("x-id"),
    minor,
    length,
    expectsContinue: minor === 1 && field("expect") !== "",
    wantsUpgrade: line[1] === "CONNECT" || (field("upgrade") !== "" && connection.includes("upgrade")),
    closes: minor === 0 ? !connection.includes("keep-alive") : connection.includes("close"),
  };
}

/** The length of the request at the beginning of the bytes, with a head that is already read; -1: it is not whole. */
export function wholeLength(bytes: Buffer, { length, method }: ParsedHead): number {
  const head = bytes.toString("latin1", 0, length);
  if (method === "CONNECT") return length;
  if (/^transfer-encoding:.*chunked/im.test(head)) return endOfChunks(bytes, length);
  const body = Number(/^content-length:\s*(\d+)/im.exec(head)?.[1] ?? 0);
  return bytes.length >= length + body ? length + body : -1;
}

function endOfChunks(bytes: Buffer, from: number): number {
  for (let at = from; ;) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return -1;
    const size = /^[0-9a-f]+(?=[ \t;]|$)/i.exec(bytes.toString("latin1", at, lineEnd));
    if (size === null)
      throw new Error(`the endpoint was sent a chunk ${JSON.stringify(bytes.toString("latin1", at, lineEnd))}`);
    at = lineEnd + 2 + parseInt(size[0], 16) + 2;
    if (size[0].replaceAll("0", "") !== "") continue;
    // The trailer section ends with an empty line, which may be its first.
    const end = bytes.indexOf("\r\n\r\n", lineEnd);
    return end < 0 ? -1 : end + 4;
  }
}
