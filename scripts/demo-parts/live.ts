/**
 * scripts/demo --live: real requests in the lab's namespaces, mirrored by the kernel, forwarded by
 * the program from the replay namespace's interface, and compared with what production received.
 *
 *     bun live.ts LAB_PREFIX
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram, QUIETLY, take } from "./program.ts";
import {
  account,
  bold,
  type Counters,
  dim,
  DONE,
  FAILED,
  heading,
  marked,
  paragraph,
  type Row,
  table,
  verdict,
  warnings,
} from "./screen.ts";
import { relay } from "./relay.ts";
import type { Received } from "./server.ts";

const VNI = 42;
const PORT = 80;
const PRODUCTION = "192.0.2.2";
const PRODUCTION6 = "[2001:db8:1::2]";
const ENDPOINT = "127.0.0.1:8080";
const ADMIN_PORT = 9100;
const ARRIVAL_TIMEOUT_MS = 10_000;
/** The pause between clients, while somebody looks at the page. */
const PAUSE_MS = 100;

const prefix = process.argv[2]!;
const inNamespace = (name: string, command: string[]) => ["ip", "netns", "exec", `${prefix}-${name}`, ...command];

/** A process in a namespace, and the lines that it prints. */
class Process {
  readonly lines: string[] = [];
  readonly ended: Promise<number>;
  private readonly child;
  private look = () => {};

  constructor(
    namespace: string,
    command: string[],
    private readonly stream: "stdout" | "stderr" = "stdout",
  ) {
    // In a session of its own, because the program raises its session's priority.
    this.child = Bun.spawn(inNamespace(namespace, command), {
      detached: true,
      env: QUIETLY.env,
      stdin: "ignore",
      stdout: stream === "stdout" ? "pipe" : "ignore",
      stderr: stream === "stderr" ? "pipe" : "inherit",
    });
    this.ended = this.watch();
  }

  private async watch(): Promise<number> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this.child[this.stream] as ReadableStream<Uint8Array>) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = parts.pop()!;
      this.lines.push(...parts);
      this.look();
    }
    const status = await this.child.exited;
    this.look();
    return status;
  }

  /** Whether the condition holds before the time is over; checks it at each line. */
  async until(isSo: () => boolean): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(isSo()), ARRIVAL_TIMEOUT_MS);
    this.look = () => isSo() && resolve(true);
    this.look();
    void this.ended.then(() => resolve(isSo()));
    const result = await promise;
    clearTimeout(timer);
    this.look = () => {};
    return result;
  }

  stop(): void {
    this.child.kill("SIGTERM");
  }
}

class ServerProcess extends Process {
  constructor(namespace: string, host: string, port: number) {
    super(namespace, [process.execPath, `${import.meta.dir}/server.ts`, host, String(port)]);
  }

  listens(): Promise<boolean> {
    return this.until(() => this.lines.some((line) => line.startsWith("listening")));
  }

  get received(): Received[] {
    return this.lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as Received);
  }
}

/** Runs curl in the client's namespace. Returns whether it got all its responses. */
async function curl(args: string[], body?: Uint8Array): Promise<boolean> {
  const command = ["curl", "--silent", "--show-error", "--fail", "--globoff", "--max-time", "20", ...args];
  return (await Bun.spawn(inNamespace("client", command), { stdin: body ?? "ignore", stdout: "ignore" }).exited) === 0;
}

const at = (path: string, host = PRODUCTION) => `http://${host}${path}`;
// At most 400 Mbit/s: in a busy kernel, the mirror loses packets beyond its backlog, as on AWS.
const upload = (path: string, bytes: number) =>
  curl(
    ["--limit-rate", "50M", "--data-binary", "@-", at(path)],
    new Uint8Array(bytes).map((_, i) => i * 31),
  );

/** Each is one connection. */
const visits = [
  () => curl([at("/"), at("/style.css"), at("/logo.svg"), at("/cart")]),
  () => curl(["--header", "Connection: close", at("/health")]),
  () => curl([at("/", PRODUCTION6), at("/cart", PRODUCTION6)]),
  () => curl(["--request", "DELETE", at("/cart/17")]),
  () => upload("/api/orders", 1 << 10),
  () => upload("/api/photos", 1 << 20),
  () => upload("/api/videos", 10 << 20),
];
/** The number of all of them. */
const REQUESTS = 11;

/** Returns whether production has responded to all requests. */
async function sendRequests(): Promise<boolean> {
  let isAnswered = true;
  for (const visit of visits) isAnswered = (await visit()) && isAnswered;
  // Noise: nothing listens there, so it is refused.
  await curl(["--no-show-error", `http://${PRODUCTION}:8000/`]);
  return isAnswered;
}

const production = new ServerProcess("production", "::", PORT);
const endpoint = new ServerProcess("replay", "127.0.0.1", 8080);
const program = findProgram();
const directory = mkdtempSync(join(tmpdir(), "vxlan-to-http-demo-"));
const summary = join(directory, "summary.json");
const args = ["--admin", String(ADMIN_PORT), "eth0", String(VNI), String(PORT), ENDPOINT];

console.log(bold("Production's requests are sent once more, to a test endpoint:"));
console.log(dim("   client ──▶ production ── the kernel's mirror ──▶ vxlan-to-http ──▶ endpoint"));
const isRight = await show();
rmSync(directory, { recursive: true });
process.exit(isRight ? 0 : 1);

/** Returns whether everything is right. */
async function show(): Promise<boolean> {
  const fail = (what: string) => {
    verdict(false, what);
    return false;
  };
  if (!(await production.listens()) || !(await endpoint.listens())) return fail("The demo's own servers do not start.");

  heading("1. The program listens to the mirror, on the replay host");
  paragraph(`${program.name} ${args.join(" ")}`);
  const running = new Process(
    "replay",
    [...program.command, ...QUIETLY.flags, "--summary", summary, ...args],
    "stderr",
  );
  if (!(await running.until(() => running.lines.some((line) => line.includes("Capturing on")))))
    return fail(running.lines.join("\n"));
  const page = await servePage();
  paragraph(`its status page, while this runs: ${page}`);

  heading("2. A client sends requests to production, with curl");
  paragraph(
    "mirrored as VXLAN with VNI 42, and once more with 43; one more request goes to a port without a listener, as noise",
  );
  if (!(await sendRequests())) return fail("Production did not respond.");

  heading("3. Received by production, and by the endpoint");
  await production.until(() => production.received.length === REQUESTS);
  await endpoint.until(() => endpoint.received.length >= REQUESTS);
  const sent = production.received;
  if ((await fetch(`${page}healthz`)).status !== 200) return fail("The page reports a problem.");
  if (process.stdin.isTTY && process.stdout.isTTY) await showPage();
  running.stop();
  const status = await running.ended;
  const arrived = endpoint.received;
  const rows = production.received.map((each) => rowOf(each, arrived));
  table(rows.slice(0, sent.length));
  if (rows.length > sent.length) paragraph(`and ${rows.length - sent.length} more while the page was open`);
  console.log();
  paragraph(marked(`${DONE} the endpoint received the same as production: the SHA-256 are equal`));

  heading("4. The program's counters");
  warnings(running.lines.join("\n"));
  if (status !== 0) return fail(`The program's exit status is ${status}.`);
  const addsUp = account((await Bun.file(summary).json()) as Counters);
  const isSame = sent.length === REQUESTS && arrived.length === 0 && rows.every(({ mark }) => mark === DONE);
  const isRight = addsUp && isSame;
  verdict(isRight, isRight ? "Every request arrived, byte for byte, and no other." : "This is wrong.");
  return isRight;
}

/** Makes the page in the replay namespace available on this host. Returns its address. */
async function servePage(): Promise<string> {
  const path = join(directory, "page");
  const inside = new Process("replay", [process.execPath, `${import.meta.dir}/relay.ts`, path, String(ADMIN_PORT)]);
  await inside.until(() => inside.lines.includes("listening"));
  return `http://127.0.0.1:${await relay({ host: "127.0.0.1", port: 0 }, { path })}/`;
}

/** Clients go on, so that the page shows changes, until Enter is pressed. */
async function showPage(): Promise<void> {
  let isOver = false;
  process.stdin.once("data", () => (isOver = true));
  paragraph(bold("Clients go on meanwhile: open the page in a browser, and press Enter here to end."));
  while (!isOver) {
    await curl([at("/"), at("/style.css"), at("/cart")]);
    await Bun.sleep(PAUSE_MS);
  }
  process.stdin.unref?.();
  await endpoint.until(() => endpoint.received.length >= production.received.length);
}

function rowOf({ client, line, bytes, sha256 }: Received, arrived: Received[]): Row {
  const found = take(arrived, sha256);
  const mark = found === undefined ? FAILED : DONE;
  return { client, line, bytes, arrived: found?.bytes.toLocaleString("en-US") ?? "nothing", mark };
}
