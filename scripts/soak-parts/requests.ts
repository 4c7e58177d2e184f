/** The requests of the soak's clients: each has its own path, and its body follows from the path. */

const UPLOAD_BYTES = 256 << 10;

/** The body of the request with this path; empty: it has none. */
export function bodyOf(path: string): string {
  const [, kind] = path.split("/");
  if (kind === "get") return "";
  return kind === "upload" ? path.repeat(Math.ceil(UPLOAD_BYTES / path.length)) : path.repeat(40);
}

/** The line that an endpoint logs for this request (test/live/endpoints). */
export function servedLine(line: string): string {
  const body = bodyOf(line.split(" ")[1]!);
  return body === "" ? line : `${line} ${Bun.SHA256.hash(body, "hex")}`;
}
