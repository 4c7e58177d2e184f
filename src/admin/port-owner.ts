/** Finds the process that listens on a TCP port, if /proc shows it: proc(5), /proc/net/tcp and /proc/PID/fd. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const TABLES = ["/proc/net/tcp", "/proc/net/tcp6"];
const LISTENING = "0A";
/** Fields of a line: its number, the local address and port, the remote ones, the state, ..., the inode. */
const LOCAL = 1;
const STATE = 3;
const INODE = 9;

/** The process, as `nginx (process 1234)`. Undefined: no process listens, or it is not known. */
export function ownerOf(port: number): string | undefined {
  const wanted = new Set(TABLES.flatMap((table) => inodesOf(table, port)).map((inode) => `socket:[${inode}]`));
  if (wanted.size === 0) return undefined;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const files = `/proc/${pid}/fd`;
    const has = tried(() => readdirSync(files), []).some((fd) =>
      wanted.has(tried(() => readlinkSync(`${files}/${fd}`), "")),
    );
    if (has) return `${tried(() => readFileSync(`/proc/${pid}/comm`, "utf8").trim(), "a program")} (process ${pid})`;
  }
  return undefined;
}

function inodesOf(table: string, port: number): string[] {
  const ending = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return tried(() => readFileSync(table, "utf8"), "")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[LOCAL]?.endsWith(ending) === true && fields[STATE] === LISTENING)
    .map((fields) => fields[INODE]!);
}

/** Reads something that may fail: processes come and go, and other users' are not shown to everyone. */
function tried<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
