/** The load of wrk with load.lua, and the requests that endpoints should report for it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Lab } from "./lab.ts";

const SCRIPT = join(import.meta.dir, "load.lua");
export const CONNECTIONS = 64;
/** The longest wait. */
const SECONDS_MAX = 50;

export interface Load {
  seconds: number;
  /** Between a connection's requests. */
  pauseMs: number;
  kind: "get" | "mixed";
  /** Unset: {@link CONNECTIONS}. */
  connections?: number;
}

export async function sendLoad(lab: Lab, load: Load): Promise<void> {
  await lab.run("client", ...commandOf(load));
}

/** The same until `meanwhile` has ended, for any time that this machine takes for it. */
export async function sendLoadUntil(
  lab: Lab,
  load: Omit<Load, "seconds">,
  meanwhile: () => Promise<unknown>,
): Promise<void> {
  const wrk = lab.start("client", ...commandOf({ ...load, seconds: SECONDS_MAX }));
  await meanwhile();
  const status = await wrk.end("SIGINT");
  if (status !== 0) throw new Error(`wrk: exit status ${status}\n${wrk.stdout}${wrk.stderr}`);
}

function commandOf({ seconds, pauseMs, kind, connections = CONNECTIONS }: Load): string[] {
  const wrk = ["wrk", "-t1", `-c${connections}`, `-d${seconds}`, "-s", SCRIPT, "http://192.0.2.2/"];
  return [...wrk, "--", String(pauseMs), kind];
}

/** A request as nginx logs it. */
export interface LoggedRequest {
  /** Method and path. */
  line: string;
  /** The connection it came on. */
  connection: string;
}

export function loggedRequests(log: string): LoggedRequest[] {
  return lines(readFileSync(log, "utf8")).map((line) => {
    const space = line.lastIndexOf(" ");
    return { line: line.slice(0, space), connection: line.slice(space + 1) };
  });
}

/** The line that an endpoint reports for this request: with the digest of its body. */
export function withDigest(line: string): string {
  const [method, path] = line.split(" ") as [string, string];
  if (method === "GET") return line;
  const body = path.repeat(Number(path.slice(1)) % 4 === 1 ? 1 : 1000);
  return `${line} ${Bun.SHA256.hash(body, "hex")}`;
}

export function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}
