/** The processes that the benchmark starts and ends: the C programs, the endpoint, the program itself. */
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Subprocess } from "bun";
import type { Certificate } from "../../test/support/authority.ts";

export const REPOSITORY = resolve(import.meta.dir, "../..");
export const EXECUTABLE = join(REPOSITORY, "dist/vxlan-to-http-linux-x64");
/**
 * Like a service: in a session of its own, because the kernel divides the cores among sessions before nice values count
 * (autogroup).
 */
export const PROGRAM = ["setsid", EXECUTABLE];
export const ENDPOINT_HOST = "127.0.0.1";

const running = new Set<Subprocess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

/** A process that ends with this one at the latest. */
export class Child {
  readonly child: Subprocess<"pipe" | "ignore", "pipe", "pipe">;
  stdout = "";
  stderr = "";
  private readonly done: Promise<void>;
  private readonly waiting = new Set<() => void>();

  constructor(
    readonly command: string[],
    stdin: "pipe" | "ignore" = "ignore",
    env: Record<string, string> = {},
  ) {
    this.child = Bun.spawn(command, {
      stdin,
      stdout: "pipe",
      stderr: "pipe",
      env: { PATH: process.env["PATH"] ?? "", ...env },
    });
    running.add(this.child);
    this.done = this.watch();
  }

  get pid(): number {
    return this.child.pid;
  }

  /** Waits until its output (of either kind) contains these words. */
  async says(words: string): Promise<void> {
    while (!this.stdout.includes(words) && !this.stderr.includes(words)) {
      if (this.child.exitCode !== null || this.child.signalCode !== null) throw this.failure();
      await new Promise<void>((look) => this.waiting.add(look));
    }
  }

  /** Waits for its end, which must be successful. Returns its standard output. */
  async ends(): Promise<string> {
    await this.done;
    if (this.child.exitCode !== 0) throw this.failure();
    return this.stdout;
  }

  /** Ends it in any state. */
  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.child.kill(signal);
    await this.done;
  }

  private failure(): Error {
    return new Error(
      `${this.command.join(" ").slice(0, 200)}: exit status ${this.child.exitCode}\n${this.stdout}${this.stderr}`,
    );
  }

  private async watch(): Promise<void> {
    const collect = async (stream: ReadableStream<Uint8Array>, add: (text: string) => void) => {
      const decoder = new TextDecoder();
      for await (const chunk of stream) {
        add(decoder.decode(chunk, { stream: true }));
        this.look();
      }
    };
    await Promise.all([
      collect(this.child.stdout, (text) => (this.stdout += text)),
      collect(this.child.stderr, (text) => (this.stderr += text)),
    ]);
    await this.child.exited;
    running.delete(this.child);
    this.look();
  }

  private look(): void {
    for (const look of this.waiting) look();
    this.waiting.clear();
  }
}

/** Runs a command to its successful end and parses its output. */
export async function json<T>(command: string[]): Promise<T> {
  return JSON.parse(await new Child(command).ends()) as T;
}

export const hasCompiler = Bun.which("cc") !== null;

/** Compiles a C source of this directory. Returns the program's path. */
export async function compile(name: string, directory: string, libraries: string[] = []): Promise<string> {
  const program = join(directory, name);
  await new Child(["cc", "-O2", "-o", program, join(import.meta.dir, `${name}.c`), ...libraries]).ends();
  return program;
}

/** A server's response to every request. */
export interface Response {
  readonly type: string;
  readonly body: string;
}

export const HELLO: Response = { type: "text/plain", body: "hello" };

/**
 * Writes the configuration of an nginx that responds as cheaply as possible, over TLS if needed. Returns the command.
 */
export function nginxCommand(
  directory: string,
  host: string,
  port: number,
  tls?: Certificate,
  /** The parameters behind its address. */
  listen = tls === undefined ? "" : "ssl",
  { type, body }: Response = HELLO,
): string[] {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `${kind}_temp_path ${directory}/${kind};`)
    .join(" ");
  const file = join(directory, `nginx-${port}.conf`);
  const secure = tls === undefined ? "" : `ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key};`;
  chmodSync(directory, 0o755);
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${directory}/nginx-${port}.pid; error_log stderr crit; worker_rlimit_nofile 200000;
     events { worker_connections 100000; }
     http { ${temporary} access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
       server { listen ${host}:${port} ${listen} backlog=65535; ${secure} location / { default_type ${type}; return 200 '${body}'; } } }`,
  );
  return ["nginx", "-e", "stderr", "-c", file];
}

/**
 * The command of an endpoint that costs as little as possible: the C server, or nginx if the C server cannot be
 * compiled.
 */
export async function endpointCommand(directory: string, port: number): Promise<string[]> {
  if (hasCompiler) return [await compile("server", directory), ENDPOINT_HOST, String(port)];
  return nginxCommand(directory, ENDPOINT_HOST, port);
}

/** Starts a server, through another command if needed; it listens when this returns. */
export async function startServer(command: string[], port: number, through: string[] = []): Promise<Child> {
  const server = new Child([...through, ...command]);
  const isListening = [
    "bash",
    "-c",
    `for i in {1..500}; do ss -Hltn "sport = :${port}" | grep -q . && exit 0; sleep 0.01; done; exit 1`,
  ];
  await new Child([...through, ...isListening]).ends();
  return server;
}

export interface CpuTime {
  userUs: number;
  systemUs: number;
}

const TICK_US = 10_000;

/** The CPU time of a process so far, all threads together; in steps of 10 ms. */
export function cpuTime(pid: number): CpuTime {
  // The second field is a name in parentheses, which may contain anything.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
  return { userUs: Number(fields[11]) * TICK_US, systemUs: Number(fields[12]) * TICK_US };
}

/** A process's memory, in MB (10^6 bytes): now, and its peak. */
export function memory(pid: number): { rssMb: number; peakMb: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => (Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)![1]) * 1024) / 1e6;
  return { rssMb: field("VmRSS"), peakMb: field("VmHWM") };
}

/** A process's memory by its kind, in MB (10^6 bytes): all of it, and the part without a file behind it. */
export function memoryKinds(pid: number): { rssMb: number; anonymousMb: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const field = (name: string) => (Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)![1]) * 1024) / 1e6;
  return { rssMb: field("Rss"), anonymousMb: field("Anonymous") };
}
