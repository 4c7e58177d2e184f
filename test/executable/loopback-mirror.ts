/** The mirror on lo, sent as datagrams, and the identities of the threads that capture it. */
import { readdirSync, readFileSync } from "node:fs";
import { REQUEST, session } from "./sessions.ts";

/** Ethernet, IPv4 and UDP header of the frames: the kernel makes its own. */
const OUTER_HEADERS_LEN = 14 + 20 + 8;
export const VXLAN_PORT = 4789;

/** Sends the mirror, and learns whether the kernel refuses it. */
export class Mirror {
  refused = 0;
  private onRefused = () => {};

  private constructor(private readonly socket: Bun.udp.ConnectedSocket<"buffer">) {}

  static async open(): Promise<Mirror> {
    const connect = { hostname: "127.0.0.1", port: VXLAN_PORT };
    const mirror: Mirror = new Mirror(
      await Bun.udpSocket({ hostname: "127.0.0.1", connect, socket: { error: () => mirror.note() } }),
    );
    return mirror;
  }

  private note(): void {
    this.refused++;
    this.onRefused();
  }

  /** Sends a datagram, and waits for the refusal. */
  async sendRefused(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.onRefused = resolve;
    this.socket.send("nobody listens");
    await promise;
  }

  /** Sends one client's connection, with one request. */
  sendRequest(): void {
    for (const { frame } of session([REQUEST])) this.socket.send(frame.subarray(OUTER_HEADERS_LEN));
  }

  close(): void {
    this.socket.close();
  }
}

/** The identity of a thread: lines of proc_pid_status(5). */
export type Identity = Record<string, string>;

/** The identities of a process's threads, each once. */
export function identitiesOf(pid: number): Identity[] {
  const ofThread = (id: string) =>
    Object.fromEntries(
      readFileSync(`/proc/${pid}/task/${id}/status`, "utf8")
        .split("\n")
        .map((line) => line.split(/:\s*/) as [string, string])
        .filter(([name]) => /^(Uid|Gid|Groups|Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp)$/.test(name))
        .map(([name, value]) => [name, value.trim().replaceAll("\t", " ")]),
    );
  const all = readdirSync(`/proc/${pid}/task`).map(ofThread);
  return all.filter((one, i) => all.findIndex((other) => Bun.deepEquals(one, other)) === i);
}
