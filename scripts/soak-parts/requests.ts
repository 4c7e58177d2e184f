/** The requests that the soak's clients send: each has a path of its own, from which its body follows. */

const UPLOAD_BYTES = 256 << 10;

/** The body of the request with this path; empty: it has none. */
export function bodyOf(path: string): string {
  const [, kind] = path.split("/");
  if (kind === "get") return "";
  return kind === "upload" ? path.repeat(Math.ceil(UPLOAD_BYTES / path.length)) : path.repeat(40);
}

/** What an endpoint that has read this request says of it (test/live/endpoints). */
export function servedLine(line: string): string {
  const body = bodyOf(line.split(" ")[1]!);
  return body === "" ? line : `${line} ${Bun.SHA256.hash(body, "hex")}`;
}
