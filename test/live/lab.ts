/** The lab of scripts/lab for tests: namespaces up and down, and programs in them. */
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, statSync, watch, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";

const ROOT = join(import.meta.dir, "../..");
const LAB = join(ROOT, "scripts/lab");
/** The real executable; scripts/test builds it. */
export const EXECUTABLE = join(ROOT, "dist/vxlan-to-http-linux-x64");
export const PRODUCTION_PORT = 80;
export const ENDPOINT_PORT = 9000;

/** The reason why live tests cannot run here; undefined: they can. */
export function whyNotLive(): string | undefined {
  if (process.getuid?.() !== 0) return "not root";
  for (const tool of ["ip", "tc", "nft", "tcpdump", "nginx", "wrk", "ab", "h2load", "curl"]) {
    if (Bun.which(tool) === null) return `${tool} is not installed`;
  }
  return undefined;
}

/** A program that a test started: it is ended by its id, never by its name. */
export class Program {
  stdout = "";
  stderr = "";
  private readonly waiters = new Set<() => void>();
  private readonly readers: Promise<void>[];

  constructor(readonly child: Subprocess<"ignore", "pipe", "pipe">) {
    this.readers = [
      this.collect(child.stdout, (text) => (this.stdout += text)),
      this.collect(child.stderr, (text) => (this.stderr += text)),
    ];
  }

  /** Waits until `found` is true for the output so far. */
  async until(found: (program: Program) => boolean): Promise<void> {
    while (!found(this)) {
      if (this.child.exitCode !== null) throw new Error(`${this.child.pid} ended early: ${this.stdout}${this.stderr}`);
      await new Promise<void>((resolve) => this.waiters.add(resolve));
    }
  }

  /** Sends a signal and waits for the end. Returns the exit status. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    if (this.child.exitCode === null) this.child.kill(signal);
    return this.ended();
  }

  async ended(): Promise<number> {
    const status = await this.child.exited;
    await Promise.all(this.readers);
    return status;
  }

  private async collect(stream: ReadableStream<Uint8Array>, add: (text: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      add(decoder.decode(chunk, { stream: true }));
      this.wake();
    }
    this.wake();
  }

  private wake(): void {
    for (const resolve of this.waiters) resolve();
    this.waiters.clear();
  }
}

/** With --replays, `replay` is a load balancer, and the numbered hosts are behind it. */
export type Host = "client" | "production" | "replay" | `replay${number}`;

/** A running tcpdump. */
export interface Capture {
  file: string;
  tcpdump: Program;
}

export class Lab {
  readonly directory = mkdtempSync(join(tmpdir(), "vxlan-to-http-lab-"));
  private readonly programs: Program[] = [];
  private readonly summaries = new Map<Program, string>();

  private constructor(private readonly prefix: string) {}

  /** Brings a lab up. `options` are those of scripts/lab up. */
  static async up(prefix: string, options: string[] = []): Promise<Lab> {
    const lab = new Lab(prefix);
    await lab.command("up", ...options);
    return lab;
  }

  /** Ends all programs and takes the lab down. */
  async down(): Promise<void> {
    for (const program of this.programs) await program.end("SIGKILL");
    await this.command("down");
    rmSync(this.directory, { recursive: true });
  }

  async status(): Promise<string> {
    return this.command("status");
  }

  /** Balances the mirror over these replay servers (--replays), by their numbers. */
  async balance(...servers: number[]): Promise<void> {
    await this.command("balance", ...servers.map(String));
  }

  /** Starts a program on a host. */
  start(host: Host, ...argv: string[]): Program {
    const program = new Program(
      Bun.spawn(["ip", "netns", "exec", `${this.prefix}-${host}`, ...argv], {
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
        cwd: this.directory,
      }),
    );
    this.programs.push(program);
    return program;
  }

  /** Runs a program on a host to its end. Returns its standard output; throws if it failed. */
  async run(host: Host, ...argv: string[]): Promise<string> {
    const program = this.start(host, ...argv);
    const status = await program.ended();
    if (status !== 0) throw new Error(`${argv.join(" ")}: exit status ${status}\n${program.stdout}${program.stderr}`);
    return program.stdout;
  }

  /**
   * Starts nginx as the production server or as an endpoint; `directives` are in its server block. For each request,
   * the log has the method, the path and the number of the connection.
   */
  async nginx(
    host: Host,
    listen: string,
    keepaliveRequests: number,
    directives: string,
  ): Promise<{ program: Program; log: string }> {
    const directory = mkdtempSync(join(this.directory, "nginx-"));
    const log = join(directory, "access.log");
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map((kind) => `${kind}_temp_path ${directory}/${kind};`)
      .join(" ");
    writeFileSync(
      join(directory, "nginx.conf"),
      `daemon off; master_process off; pid ${directory}/pid; error_log stderr info;
       events { worker_connections 10000; }
       http { ${temporary} client_max_body_size 200m; keepalive_requests ${keepaliveRequests};
         log_format requests '$request_method $request_uri $connection'; access_log ${log} requests;
         server { ${listen} location / { ${directives} } } }`,
    );
    const program = this.start(host, "nginx", "-c", join(directory, "nginx.conf"));
    const port = /(\d+)( http2)?;/.exec(listen)![1]!;
    await this.listening(host, port);
    return { program, log };
  }

  /**
   * Starts the real program on the replay host, in a session of its own like a service; it is capturing when this
   * returns.
   */
  forwarder(...options: string[]): Promise<Program> {
    return this.forwarderOn("replay", ...options);
  }

  /** The same on another host. */
  async forwarderOn(host: Host, ...options: string[]): Promise<Program> {
    const summary = join(this.directory, `summary-${this.summaries.size}.json`);
    const program = this.start(host, "setsid", EXECUTABLE, "--summary", summary, ...options);
    this.summaries.set(program, summary);
    await program.until(({ stderr }) => stderr.includes("Capturing on"));
    return program;
  }

  /** A forwarder's counters, once it has ended. */
  async summary(forwarder: Program): Promise<any> {
    return Bun.file(this.summaries.get(forwarder)!).json();
  }

  /** Captures the packets that arrive on a host's eth0 and pass `filter`; datagrams to port 80 must pass it too. */
  async capture(host: Host, filter: string): Promise<Capture> {
    const file = join(this.directory, `${host}.pcap`);
    const tcpdump = this.start(
      host,
      "tcpdump",
      "-i",
      "eth0",
      "-s",
      "0",
      "-U",
      "-B",
      "262144",
      "-Z",
      "root",
      "-w",
      file,
      filter,
    );
    await tcpdump.until(({ stderr }) => stderr.includes("listening on"));
    return { file, tcpdump };
  }

  /**
   * Ends a capture. When tcpdump is stopped, it drops the packets that it has not read: so this waits until it has
   * written a datagram of ours.
   */
  async endCapture({ file, tcpdump }: Capture): Promise<void> {
    const marker = crypto.randomUUID();
    const fd = openSync(file, "r");
    const tail = Buffer.alloc(256);
    do await this.run("client", "bash", "-c", `echo ${marker} >/dev/udp/192.0.2.2/${PRODUCTION_PORT}; sleep 0.05`);
    while (
      !tail
        .subarray(0, readSync(fd, tail, 0, tail.length, Math.max(fstatSync(fd).size - tail.length, 0)))
        .includes(marker)
    );
    closeSync(fd);
    await tcpdump.end("SIGINT");
    if (!tcpdump.stderr.includes("\n0 packets dropped by kernel"))
      throw new Error(`the capture is not whole: ${tcpdump.stderr}`);
  }

  /** Waits until a program listens on a TCP port. */
  async listening(host: Host, port: string | number): Promise<void> {
    await this.run(
      host,
      "bash",
      "-c",
      `for i in {1..500}; do ss -Hltn "sport = :${port}" | grep -q . && exit 0; sleep 0.01; done; exit 1`,
    );
  }

  /** Refuses new connections to a host's TCP port until `meanwhile` has ended. */
  async refusing(host: Host, port: number, meanwhile: () => Promise<unknown>): Promise<void> {
    await this.run(
      host,
      "nft",
      `table ip refusing {
         chain output {
           type filter hook output priority 0
           tcp dport ${port} tcp flags syn reject with tcp reset
         }
       }`,
    );
    await meanwhile();
    await this.run(host, "nft", "delete table ip refusing");
  }

  /** Waits until this many connections to a TCP port are open, as their clients see it. */
  async connected(host: Host, port: string | number, count: number): Promise<void> {
    const open = `ss -Htn state established "dport = :${port}" | wc -l`;
    await this.run(
      host,
      "bash",
      "-c",
      `for i in {1..500}; do (($(${open}) >= ${count})) && exit 0; sleep 0.01; done; exit 1`,
    );
  }

  private async command(...argv: string[]): Promise<string> {
    const child = Bun.spawn([LAB, ...argv], {
      env: { ...process.env, LAB_PREFIX: this.prefix },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [output, errors, status] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    if (status !== 0) throw new Error(`scripts/lab ${argv.join(" ")}: exit status ${status}\n${output}${errors}`);
    return output;
  }
}

/** Waits until a file has this many bytes. */
export async function grown(path: string, bytes: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = () => {
    if (statSync(path).size >= bytes) resolve();
  };
  const watcher = watch(path, look);
  look();
  await promise;
  watcher.close();
}
