/** Real servers on loopback; each reports the requests that it served. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { REPOSITORY, type TemporaryDirectory } from "../executable/program.ts";
import { Program } from "../live/lab.ts";
import { freePort } from "../support/free-port.ts";

const SOURCES = join(import.meta.dir, "endpoints");
/** The tools that scripts/servers installs and compiles. */
export const TOOLS = join(REPOSITORY, ".tools/servers");
const LISTEN_TRIES_MAX = 500;
const LISTEN_PAUSE_MS = 20;

/** One request as a server's handler saw it. */
export interface Served {
  readonly method: string;
  readonly target: string;
  /** The request's X-Id. */
  readonly id: string;
  /** The length of the body, without the chunks' framing. */
  readonly length: number;
  readonly digest: string;
  /** The port of the client's end of the connection; 0: the server does not report it. */
  readonly port: number;
}

export interface RealServer {
  readonly name: string;
  /** The number of POSTs that it may lose in all, because it closes its connections without an announcement. */
  readonly lostMax?: number;
  /** The reason why it cannot run here; undefined: it can. */
  missing(): string | undefined;
  /** The command that runs it on a port, with an empty log. May write files beside the log. */
  command(port: number, log: string): { argv: string[]; env?: Record<string, string> };
  /** The lines of its log, if they are not {@link Served} as JSON. */
  read?(log: string): Served[];
}

export interface RunningServer {
  readonly port: number;
  /** Ends it. Returns the requests served since the start or since the last {@link takeServed}. */
  stop(): Promise<Served[]>;
  /** The requests logged since the last call. */
  takeServed(): Served[];
}

function interpreted(name: string, interpreter: string, source: string, ...flags: string[]): RealServer {
  return {
    name,
    missing: () => (Bun.which(interpreter) === null ? `${interpreter} is not installed` : undefined),
    command: (port, log) => ({ argv: [Bun.which(interpreter)!, ...flags, join(SOURCES, source), String(port), log] }),
  };
}

export const NODE = interpreted("Node's http", "node", "node.mjs");
export const PYTHON = interpreted("Python's http.server", "python3", "python.py");
/** Without this property, each response on a reused connection waits 40 ms for an acknowledgment. */
export const JAVA = interpreted("Java's HttpServer", "java", "Server.java", "-Dsun.net.httpserver.nodelay=true");
export const BUN: RealServer = {
  name: "Bun.serve",
  missing: () => undefined,
  command: (port, log) => ({ argv: [process.execPath, join(SOURCES, "bun.ts"), String(port), log] }),
};
export const GO: RealServer = {
  name: "Go's net/http",
  missing: () => (Bun.which("go") === null ? "go is not installed" : undefined),
  command: (port, log) => ({ argv: [compiled("go.go", "go"), String(port), log] }),
};

/** In clear text, with prior knowledge. */
export const NODE_HTTP2 = interpreted("Node's http2", "node", "node-http2.mjs");
export const GO_HTTP2: RealServer = {
  name: "Go's net/http, HTTP/2",
  missing: () => (Bun.which("go") === null ? "go is not installed" : undefined),
  command: (port, log) => ({ argv: [compiled("go.go", "go"), String(port), log, "http2"] }),
};

/** Compiles a Go program of endpoints/ if this was not done yet. Returns the executable. */
function compiled(source: string, name: string): string {
  mkdirSync(TOOLS, { recursive: true });
  const executable = join(TOOLS, name);
  const builtMs = statSync(executable, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (builtMs > statSync(join(SOURCES, source)).mtimeMs) return executable;
  const env = { ...process.env, GOTOOLCHAIN: "local" };
  const built = Bun.spawnSync(["go", "build", "-o", executable, join(SOURCES, source)], { stderr: "pipe", env });
  if (!built.success) throw new Error(`go build: ${built.stderr}`);
  return executable;
}

/**
 * HAProxy, which accepts only HTTP/2, in frames of up to 16 KiB, and passes the requests on to Go's server. `bind`: the
 * options after its address.
 */
export function haproxy(bind = "proto h2"): RealServer {
  const missing = ["haproxy", "go"].find((name) => Bun.which(name) === null);
  return {
    name: "HAProxy",
    missing: () => (missing === undefined ? undefined : `${missing} is not installed`),
    command(port, log) {
      const [backend, config] = [freePort(), `${log}-haproxy.cfg`];
      writeFileSync(
        config,
        `global
           maxconn 1000
         defaults
           mode http
           timeout connect 5s
           timeout client 60s
           timeout server 60s
         listen production
           bind 127.0.0.1:${port} ${bind}
           server go 127.0.0.1:${backend}\n`,
      );
      return { argv: ["sh", join(SOURCES, "haproxy.sh"), compiled("go.go", "go"), String(backend), config, log] };
    },
  };
}

/** The directives in nginx's server block beside the log. */
export interface NginxOptions {
  /** Behind `listen 127.0.0.1:PORT`. */
  listen?: string;
  /** It can be told to read its configuration again (SIGHUP); {@link nginxPid}. */
  isReloadable?: boolean;
  directives?: string;
}

/**
 * nginx reads bodies only if something needs them: each request is passed on, unchanged, to a second server of the same
 * nginx, so that the log has the body.
 */
export function nginx({ listen = "", directives = "", isReloadable = false }: NginxOptions = {}): RealServer {
  return {
    name: "nginx",
    missing: () => (Bun.which("nginx") === null ? "nginx is not installed" : undefined),
    command(port, log) {
      const directory = mkdtempSync(`${log}-nginx-`);
      const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
      const temporary = kinds.map((kind) => `${kind}_temp_path ${directory}/${kind};`).join(" ");
      const fields = { method: "request_method", target: "request_uri", id: "http_x_id", body: "request_body" };
      const texts = Object.entries(fields).map(([name, variable]) => `"${name}":"$${variable}"`);
      const format = `{${texts.join(",")},"client":"$proxy_protocol_addr","port":$remote_port,"status":$status}`;
      writeFileSync(
        join(directory, "nginx.conf"),
        `daemon off; ${isReloadable ? "user root;" : "master_process off;"} pid ${directory}/pid; error_log stderr crit;
         events { worker_connections 4000; }
         http { ${temporary} client_max_body_size 200m; client_body_buffer_size 32m; client_body_in_single_buffer on;
           log_format served escape=json '${format}';
           server { listen 127.0.0.1:${port} ${listen}; access_log ${log} served; ${directives}
             location / {
               proxy_pass http://unix:${directory}/sink:/; proxy_method GET;
               proxy_pass_request_headers off; proxy_pass_request_body off;
             } }
           server { listen unix:${directory}/sink backlog=4096; access_log off; location / { return 200 "served"; } } }`,
      );
      return { argv: [Bun.which("nginx")!, "-c", join(directory, "nginx.conf")] };
    },
    read: (log) => nginxLog(log).filter(({ status }) => status === 200),
  };
}

/** The process for signals: the nginx that was started last in a directory. */
export function nginxPid(directory: TemporaryDirectory): number {
  const pids = [...new Bun.Glob("*-nginx-*/pid").scanSync(directory.path)].map((path) => join(directory.path, path));
  const newest = pids.sort((one, other) => statSync(one).mtimeMs - statSync(other).mtimeMs).at(-1)!;
  return Number(readFileSync(newest, "utf8"));
}

/** One line of nginx's log. */
export interface NginxLine extends Served {
  readonly status: number;
  /** The client's address by the PROXY protocol; empty: there was none. */
  readonly client: string;
}

/** All lines of nginx's log; requests that it refused have another status than 200. */
export function nginxLog(log: string): NginxLine[] {
  return objects(log).map((line) => {
    const { body, ...rest } = line as unknown as NginxLine & { body: string };
    const bytes = Buffer.from(body, "latin1");
    return { ...rest, length: bytes.length, digest: Bun.SHA256.hash(bytes, "hex") };
  });
}

function objects(log: string): Record<string, unknown>[] {
  return log
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

const VENV = join(TOOLS, "venv/bin");
const UWSGI_PROGRAM = "uwsgi";

/** A server in the virtual environment of scripts/servers. */
function ofPython(name: string, command: (port: number) => string[], lostMax = 0): RealServer {
  return {
    name,
    lostMax,
    missing: () => (Bun.which(join(VENV, command(0)[0]!)) === null ? "scripts/servers installs it" : undefined),
    command: (port, log) => {
      const [executable, ...argv] = command(port) as [string, ...string[]];
      const path = join(VENV, executable);
      // A script's first line names the folder of its installation, which may have been moved since.
      const program = executable === UWSGI_PROGRAM ? [path] : [VENV_PYTHON, path];
      return { argv: [...program, ...argv], env: { LOG: log, PYTHONPATH: SOURCES } };
    },
  };
}

const UWSGI = [
  "--need-app",
  "--listen",
  "1024",
  "--master",
  "--processes",
  "8",
  "--die-on-term",
  "--disable-logging",
  "--wsgi-file",
  join(SOURCES, "wsgi.py"),
];
/** uWSGI's http sockets close after each response without an announcement. */
const LOST_BY_UWSGI_MAX = 5;

/** Go's gRPC, server and client (endpoints/grpc). */
export const GRPC_OF_GO = join(TOOLS, "grpc");
export const VENV_PYTHON = join(VENV, "python");

/** Python's gRPC server; it takes this many milliseconds for a message. */
export function grpc(delayMs = 0): RealServer {
  return {
    name: delayMs === 0 ? "gRPC (Python)" : `gRPC, ${delayMs} ms a message`,
    missing: () =>
      !existsSync(VENV) ||
      [...new Bun.Glob("lib/python*/site-packages/grpc/__init__.py").scanSync({ cwd: join(VENV, ".."), dot: true })]
        .length === 0
        ? "scripts/servers installs it"
        : undefined,
    command: (port, log) => ({
      argv: [VENV_PYTHON, join(SOURCES, "grpc_server.py"), String(port), log, String(delayMs)],
    }),
  };
}

/** Go's gRPC server; it takes this many milliseconds for a message. */
export function grpcOfGo(delayMs = 0): RealServer {
  return {
    name: delayMs === 0 ? "gRPC (Go)" : `gRPC (Go), ${delayMs} ms a message`,
    missing: () => (Bun.which(GRPC_OF_GO) === null ? "scripts/servers compiles it" : undefined),
    command: (port, log) => ({ argv: [GRPC_OF_GO, String(port), log, String(delayMs)] }),
  };
}

export const HEAVY: Record<string, RealServer> = {
  "uwsgi-http": ofPython(
    "uWSGI --http",
    (port) => ["uwsgi", "--http", `127.0.0.1:${port}`, ...UWSGI],
    LOST_BY_UWSGI_MAX,
  ),
  "uwsgi-http-socket": ofPython(
    "uWSGI --http-socket",
    (port) => ["uwsgi", "--http-socket", `127.0.0.1:${port}`, ...UWSGI],
    LOST_BY_UWSGI_MAX,
  ),
  gunicorn: ofPython("gunicorn", (port) => [
    "gunicorn",
    "-k",
    "gthread",
    "--threads",
    "8",
    "-b",
    `127.0.0.1:${port}`,
    "wsgi",
  ]),
  hypercorn: ofPython("hypercorn", (port) => ["hypercorn", "-b", `127.0.0.1:${port}`, "asgi:application"]),
  h2c: {
    name: "Go's h2c handler",
    missing: () => (Bun.which(join(TOOLS, "h2c")) === null ? "scripts/servers compiles it" : undefined),
    command: (port, log) => ({ argv: [join(TOOLS, "h2c"), String(port), log] }),
  },
};

/** The servers that run in the test suite. */
export const LIGHT: Record<string, RealServer> = {
  nginx: nginx(),
  node: NODE,
  bun: BUN,
  go: GO,
  python: PYTHON,
  java: JAVA,
};

/** The servers that can run here; logs the ones that cannot. */
export function available(servers: RealServer[], what: string): RealServer[] {
  return servers.filter((server) => {
    const why = server.missing();
    if (why !== undefined) console.warn(`skipped: ${what} with ${server.name} (${why})`);
    return why === undefined;
  });
}

let started = 0;

/** Starts a server; it listens when this returns. Its files are in `directory`. */
export async function start(
  server: RealServer,
  directory: TemporaryDirectory,
  port = freePort(),
): Promise<RunningServer> {
  const log = directory.file(`served-${started++}.log`, "");
  const { argv, env } = server.command(port, log);
  const child = Bun.spawn(argv, {
    env: { ...process.env, ...env },
    cwd: directory.path,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const program = new Program(child);
  await listening(port, program);
  let taken = 0;
  const takeServed = () => {
    const text = readFileSync(log, "latin1");
    const fresh = text.slice(taken);
    taken = text.length;
    return server.read?.(fresh) ?? (objects(fresh) as unknown as Served[]);
  };
  return {
    port,
    takeServed,
    async stop() {
      await program.end("SIGTERM");
      return takeServed();
    },
  };
}

/** Some servers do not report when they listen: this waits until one accepts a connection. */
async function listening(port: number, program: Program): Promise<void> {
  for (let tries = 0; tries < LISTEN_TRIES_MAX; tries++) {
    if (await accepts(port)) return;
    if (program.child.exitCode !== null) throw new Error(`the server has ended: ${program.stdout}${program.stderr}`);
    await Bun.sleep(LISTEN_PAUSE_MS);
  }
  throw new Error(`the server does not listen: ${program.stdout}${program.stderr}`);
}

function accepts(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = net.connect({ port, host: "127.0.0.1" }, () => {
    socket.destroy();
    resolve(true);
  });
  socket.on("error", () => resolve(false));
  return promise;
}
