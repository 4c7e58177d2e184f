/**
 * The clients of scripts/planted --lab: lab-client.ts HOST PORT DIRECTORY CONNECTIONS RATE. So many connections at a
 * time, each with the script's talks for one; RATE in requests per second, evenly spaced. If all connections wait for a
 * response for long, the rate is not reached, and missed requests are not sent later. Prints as JSON how many requests
 * it sent, in how many seconds, how many it missed (none after the script's last connection has begun), and its own CPU
 * time.
 */
import { Random } from "../../test/support/random.ts";
import { Messages, readCloses, readConnections } from "./script.ts";

const [host, port, directory, connections, rate] = process.argv.slice(2) as [string, string, string, string, string];
const TICK_MS = 1;
/** A request that was due for longer, and not sent, is missed: all connections waited, or the machine was busy. */
const BEHIND_MS_MAX = 200;
const PIPELINING_SHARE = 0.3;
const PIPELINED_MAX = 4;

const requests = Messages.open(directory, "request");
const responses = Messages.open(directory, "production");
const closes = readCloses(directory);
const firsts = readConnections(directory);
const random = new Random(1);
/** Connections that wait for nothing, the one that has been so for longest first. */
const idle: Client[] = [];
const { promise: isOver, resolve: end } = Promise.withResolvers<void>();
let nextConnection = 0;
let open = 0;

class Client {
  private awaitedBytes = 0;
  private isClosing = false;
  private readonly pipelinedMax = random.chance(PIPELINING_SHARE) ? PIPELINED_MAX : 1;
  private socket: Bun.Socket | null = null;

  constructor(
    private next: number,
    private readonly end: number,
  ) {}

  async open(): Promise<void> {
    await Bun.connect({
      hostname: host,
      port: Number(port),
      socket: {
        open: (socket) => {
          this.socket = socket;
          idle.push(this);
        },
        data: (_, bytes) => this.read(bytes.length),
        close: () => this.closed(),
      },
    });
  }

  /** Sends one request, or a few. Returns how many. */
  send(): number {
    const count = Math.min(random.int(1, this.pipelinedMax), this.end - this.next);
    const bytes = requests.of(this.next, count);
    this.awaitedBytes = responses.of(this.next, count).length;
    this.next += count;
    this.isClosing = closes[this.next - 1] === 1;
    if (this.socket!.write(bytes) !== bytes.length) throw new Error("the kernel took only a part of a request");
    return count;
  }

  private read(length: number): void {
    this.awaitedBytes -= length;
    if (this.awaitedBytes < 0) throw new Error("production responded more than it was asked");
    if (this.awaitedBytes > 0 || this.isClosing) return;
    if (this.next < this.end) {
      idle.push(this);
      return;
    }
    this.isClosing = true;
    this.socket!.end();
  }

  private closed(): void {
    if (!this.isClosing || this.awaitedBytes > 0) throw new Error("production closed a connection");
    open--;
    openNext();
  }
}

function openNext(): void {
  if (nextConnection + 1 < firsts.length) {
    const client = new Client(firsts[nextConnection]!, firsts[nextConnection + 1]!);
    nextConnection++;
    open++;
    void client.open();
  } else if (open === 0) end();
}

for (let i = 0; i < Number(connections); i++) openNext();
const begun = performance.now();
let [sent, missed, due, dueAtMs] = [0, 0, 0, begun];
const behindMax = (Number(rate) * BEHIND_MS_MAX) / 1000;
const ticker = setInterval(() => {
  const nowMs = performance.now();
  due += (Number(rate) * (nowMs - dueAtMs)) / 1000;
  dueAtMs = nowMs;
  if (nextConnection + 1 < firsts.length) missed += Math.max(due - behindMax, 0);
  due = Math.min(due, behindMax);
  while (due >= 1 && idle.length > 0) {
    const count = idle.shift()!.send();
    due -= count;
    sent += count;
  }
}, TICK_MS);
await isOver;
clearInterval(ticker);
const seconds = (performance.now() - begun) / 1000;
const { user, system } = process.cpuUsage();
console.log(JSON.stringify({ requests: sent, seconds, missed: Math.round(missed), userUs: user, systemUs: system }));
