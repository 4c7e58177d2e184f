/** The endpoints of the live tests: real servers; each reports at its end the requests that it served. */
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Host, Lab, Program } from "./lab.ts";
import { lines, loggedRequests } from "./load.ts";

const ROOT = join(import.meta.dir, "../..");
const SOURCES = join(import.meta.dir, "endpoints");

/** A server in endpoints/: all of them are started in the same way, and report the same. */
export interface Server {
  readonly name: string;
  /** The command that runs it; undefined: it is not installed. */
  readonly command: string[] | undefined;
}

export const BUN: Server = { name: "Bun.serve", command: [process.execPath, join(SOURCES, "bun.ts")] };
export const NODE: Server = { name: "Node's http", command: interpreted("node", "node.mjs") };
export const GO: Server = { name: "Go's net/http", command: compiledGo() };
export const PYTHON: Server = { name: "Python's http.server", command: interpreted("python3", "python.py") };

/** The servers that can run here; logs the ones that cannot. */
export function installed(servers: Server[]): Server[] {
  return servers.filter(({ name, command }) => {
    if (command === undefined) console.log(`skipped: ${name} as an endpoint (it is not installed)`);
    return command !== undefined;
  });
}

function interpreted(interpreter: string, source: string): string[] | undefined {
  const path = Bun.which(interpreter);
  return path === null ? undefined : [path, join(SOURCES, source)];
}

function compiledGo(): string[] | undefined {
  if (Bun.which("go") === null) return undefined;
  const directory = join(ROOT, ".tools/test-endpoints");
  mkdirSync(directory, { recursive: true });
  const [executable, source] = [join(directory, "go"), join(SOURCES, "go.go")];
  const builtMs = statSync(executable, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (builtMs > statSync(source).mtimeMs) return [executable];
  const built = Bun.spawnSync(["go", "build", "-o", executable, source], {
    stderr: "pipe",
    env: { ...process.env, GOTOOLCHAIN: "local" },
  });
  if (!built.success) throw new Error(`go build: ${built.stderr}`);
  return [executable];
}

/** A running endpoint. */
export interface Endpoint {
  /** Ends it and starts it again. */
  restart(): Promise<void>;
  /** Ends it. Returns the requests that it served, also those before restarts. */
  stop(): Promise<string[]>;
  /** The server's messages about malformed requests. */
  complaints(): string[];
}

/** One of {@link Server}s on a host. */
export async function serverEndpoint(
  lab: Lab,
  server: Server,
  port: number,
  delayMs: number,
  host: Host = "replay",
  ...more: string[]
): Promise<Endpoint> {
  const launch = async () => {
    const program = lab.start(host, ...server.command!, String(port), String(delayMs), ...more);
    await program.until(({ stdout }) => stdout.includes("ready"));
    return program;
  };
  return restartable(lab, host, port, launch, (programs) => programs.flatMap(({ stdout }) => lines(stdout).slice(1)));
}

/** nginx that responds itself; its served requests have no digests. */
export async function nginxEndpoint(lab: Lab, port: number, keepaliveRequests: number): Promise<Endpoint> {
  const { program, log } = await lab.nginx(
    "replay",
    `listen 127.0.0.1:${port};`,
    keepaliveRequests,
    `return 200 "served";`,
  );
  return {
    restart: () => Promise.reject(new Error("proxyEndpoint is the nginx that is restarted")),
    async stop() {
      await program.end();
      return loggedRequests(log).map(({ line }) => line);
    },
    complaints: () => complaintsOf([program]),
  };
}

/** nginx in front of a Bun.serve that takes `delayMs`; nginx is restarted. */
export async function proxyEndpoint(lab: Lab, port: number, delayMs: number): Promise<Endpoint> {
  const application = await serverEndpoint(lab, BUN, port + 1, delayMs);
  const launch = async () =>
    (await lab.nginx("replay", `listen 127.0.0.1:${port};`, 1000, `proxy_pass http://127.0.0.1:${port + 1};`)).program;
  return restartable(lab, "replay", port, launch, () => application.stop());
}

/**
 * An endpoint with one program after the other; `served` is called when the last one has ended. New connections are
 * refused from before a program's end: nginx may close a connection in the round of its signal, while it still accepts
 * others (the kernel, which closes what a program leaves open, does too), and would lose a second request of a client.
 */
async function restartable(
  lab: Lab,
  host: Host,
  port: number,
  launch: () => Promise<Program>,
  served: (programs: Program[]) => string[] | Promise<string[]>,
): Promise<Endpoint> {
  const programs = [await launch()];
  return {
    async restart() {
      await lab.refusing(host, port, () => programs.at(-1)!.end());
      programs.push(await launch());
    },
    async stop() {
      await programs.at(-1)!.end();
      return served(programs);
    },
    complaints: () => complaintsOf(programs),
  };
}

function complaintsOf(programs: Program[]): string[] {
  return programs.flatMap(({ stderr }) => lines(stderr).filter((line) => /malformed|client sent/.test(line)));
}
