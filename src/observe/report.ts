/** What is told of a run: a line while there is traffic, warnings that are due once, the totals. */
import { addressName, type ForwardAddress } from "../address.ts";
import { Drop } from "../decode/drop-reason.ts";
import type { Encapsulation } from "../decode/tunnel.ts";
import type { Strangers } from "../decode/strangers.ts";
import { POLICY_DROPS, type RequestDrop } from "../forward/counters.ts";
import type { Counters } from "./counters.ts";
import type { Log } from "./log.ts";

type ForeignProtocol = Exclude<keyof Counters["foreign"], "discarded_bytes">;

const FOREIGN_ADVICE: Record<ForeignProtocol, string> = {
  tls: "Some connections are TLS, which cannot be read here: mirror behind the load balancer or proxy that ends it (foreign.tls)",
  http2:
    "Some connections are HTTP/2 and were joined in their middle, from where bytes cannot pass: leave out --http2 pass, or they are forwarded from connections that begin while this program runs (foreign.http2)",
  unknown: "Some connections are not HTTP: forward them with --mode tcp (foreign.unknown)",
};
const SUMMARY_LINE_MS = 10_000;
/** Drops that are further apart than this are another burst. */
const DROP_BURST_MS = 10_000;
/** So many frames for others, and none for us, are no accident. */
const STRANGERS_MIN = 10;
const STRANGERS_SHOWN_MAX = 3;

/**
 * Why a whole request was not sent, beside that it was not to be: the source can wait, so that none needs to be lost.
 */
const UNFORWARDED_DROPS: readonly RequestDrop[] = [
  "endpoint_down",
  "endpoint_closed",
  "endpoint_settings",
  "buffer_limit",
  "waiting_limit",
];

/** So many requests, of which these are some, have met with the same decision. */
export interface DryRunVerdict {
  readonly by: string;
  readonly count: number;
  readonly examples: readonly string[];
}

export interface ReportOptions {
  readonly address: ForwardAddress;
  readonly encapsulation?: Encapsulation;
  readonly vnis: readonly number[] | "any";
  readonly ports: readonly number[];
  readonly threads: number;
}

/** What a shard tells (ShardReport) and what the counters show. */
export class RunReport {
  private summaryDueMs: number;
  private framesBefore = 0;
  private bytesBefore = 0;
  private lastDropMs = -Infinity;
  private kernelDropsBefore = 0;
  private isInterfaceUp = true;
  /** What upstream.connect_errors was when the outage began; -1: there is none. */
  private outageErrorsBefore = -1;
  private readonly told = new Set<string>();

  constructor(
    private readonly log: Log,
    private readonly counters: Counters,
    private readonly options: ReportOptions,
    private readonly now: () => number,
  ) {
    this.summaryDueMs = now() + SUMMARY_LINE_MS;
  }

  outageBegan(reason: string): void {
    if (this.outageErrorsBefore >= 0) return;
    this.outageErrorsBefore = this.counters.upstream.connect_errors;
    this.log.warnOften(
      "outage began",
      `Cannot connect to ${this.endpointName}: ${reason}; trying on, and counting what is lost (upstream.connect_errors)`,
    );
  }

  /** The first thread that connects again has seen the end for all. */
  outageEnded(durationMs: number, lostConnections: number): void {
    if (this.outageErrorsBefore < 0) return;
    const lost = Math.max(this.counters.upstream.connect_errors - this.outageErrorsBefore, lostConnections);
    this.outageErrorsBefore = -1;
    this.log.infoOften(
      "outage ended",
      `${this.endpointName} answers again after ${(durationMs / 1000).toFixed(1)} s; ${lost} connections could not be made`,
    );
  }

  givenUp(why: string, lostBytes: number): void {
    this.log.warnOften(
      "given up",
      `Gave up a connection to ${this.endpointName}: ${why}; ${lostBytes} bytes were lost`,
    );
  }

  /** `isSilent`: the endpoint has sent nothing on it. With TLS 1.3 it refuses a client only behind the handshake. */
  broken(how: "closed" | "reset", lostBytes: number, isSilent: boolean): void {
    const isRefusal = isSilent && this.options.address.isSecure === true;
    this.log.warnOften(
      "broken",
      `${this.endpointName} ${how} a connection that was in use; ${lostBytes} waiting bytes were lost` +
        (isRefusal
          ? "; it has sent nothing on it: if it wants a client certificate, give --tls-cert and --tls-key"
          : ""),
    );
  }

  foreign(protocol: ForeignProtocol): void {
    this.once(`foreign ${protocol}`, FOREIGN_ADVICE[protocol]);
  }

  /** The interface was set down, or up again. */
  interfaceIs(isUp: boolean, name: string): void {
    if (isUp === this.isInterfaceUp) return;
    this.isInterfaceUp = isUp;
    if (isUp) this.log.infoOften("interface up", `${name} is up again: capturing goes on`);
    else
      this.log.warnOften(
        "interface down",
        `${name} is down: nothing is captured until it is up again (ip link set ${name} up)`,
      );
  }

  /** Whom the mirror frames were for that were not for us: told once, if none was. */
  strangers({ vnis, ports }: Strangers): void {
    const { vnis: ourVnis, ports: ourPorts } = this.options;
    const wanted = ourPorts.join(" or ");
    // Plain frames are of whatever this host talks: that there is more than ours says nothing.
    if (this.counters.frames.segments > 0 || this.options.encapsulation === "none") return;
    const [otherVnis, otherPorts] = [total(vnis), total(ports)];
    if (otherPorts >= STRANGERS_MIN) {
      this.once(
        "port",
        `${otherPorts} mirrored segments of ${vniName(ourVnis)} were for port ${listed(ports)}, none for ${wanted}: is original_destination_port the one that production listens on?`,
      );
    } else if (otherVnis >= STRANGERS_MIN && ourVnis !== "any") {
      this.once(
        "VNI",
        `${otherVnis} mirror frames carried VNI ${listed(vnis)}, none ${ourVnis.join(" or ")}: is it the mirror session's VNI?`,
      );
    }
  }

  /** Looks at the counters, and tells what was left out of what repeats: call it every now and then. */
  tick(): void {
    this.log.tick();
    const { frames } = this.counters;
    if (frames.truncated > 0 || frames.dropped[Drop.TRUNCATED]! > 0) {
      this.once(
        "truncated",
        "The mirror cuts off the ends of packets: what is cut off is missing for good. Raise this host's MTU above the source's by 54 bytes (IPv4) or 74 (IPv6), or lift the mirror session's packet length",
      );
    }
    if (frames.dropped[Drop.UNSUPPORTED_LINK_TYPE]! > 0) {
      this.once(
        "link type",
        "Some frames have a link type that cannot be read here: they are counted (frames.dropped.unsupported_link_type)",
      );
    }
    if (this.counters.fragments.completed > 0 && this.options.threads > 1) {
      this.once(
        "fragments",
        "Mirrored packets come in IP fragments: a flow's fragments may reach another thread than its other segments, and count as gaps there. Run it with --threads 1 (fragments.completed)",
      );
    }
    const nowMs = this.now();
    this.kernelDrops(nowMs);
    if (nowMs < this.summaryDueMs) return;
    this.summaryLine(nowMs);
  }

  /** Frames that the kernel dropped, told once a burst. */
  private kernelDrops(nowMs: number): void {
    const { kernel_dropped: drops } = this.counters.frames;
    const count = drops - this.kernelDropsBefore;
    if (count === 0) return;
    this.kernelDropsBefore = drops;
    if (nowMs - this.lastDropMs > DROP_BURST_MS) {
      this.log.warn(
        `The kernel dropped ${count} frames before they were read: raise --capture-buffer-mib, or give the program more CPU (frames.kernel_dropped goes on counting)`,
      );
    }
    this.lastDropMs = nowMs;
  }

  private summaryLine(nowMs: number): void {
    const { frames, flows, upstream } = this.counters;
    const seconds = (nowMs - this.summaryDueMs + SUMMARY_LINE_MS) / 1000;
    this.summaryDueMs = nowMs + SUMMARY_LINE_MS;
    const newFrames = frames.captured - this.framesBefore;
    const newBytes = upstream.bytes - this.bytesBefore;
    this.framesBefore = frames.captured;
    this.bytesBefore = upstream.bytes;
    if (newFrames === 0 && newBytes === 0) return;
    this.log.info(
      `${perSecond(newFrames, seconds)} frames/s, ${perSecond(newBytes, seconds)} bytes/s forwarded; ${flows.active} flows active, ` +
        `${this.counters.reassembly.gaps} gaps, ${frames.kernel_dropped} frames dropped by the kernel` +
        `${leftOut(this.counters)
          .map((words) => `, ${words}`)
          .join("")} so far`,
      this.counters.snapshot(),
    );
  }

  /** The totals of the run. */
  totals(): void {
    this.log.finish();
    const totals = this.counters.snapshot();
    const { frames, flows, reassembly, requests, responses, upstream } = totals;
    const unsent = Object.entries(requests.dropped).filter(([reason, count]) => count > 0 && !isByPolicy(reason));
    const chosenAway = leftOut(this.counters);
    const dropped = Object.entries(frames.dropped).filter(([, count]) => count > 0);
    const lines = [
      `Totals: ${frames.captured} frames captured, of which ${frames.segments} were segments of ours`,
      ...(dropped.length > 0 ? [`Not ours: ${dropped.map(([reason, count]) => `${count} ${reason}`).join(", ")}`] : []),
      `Flows: ${flows.opened} opened, ${flows.picked_up} picked up, ${flows.closed} closed, ${flows.evicted} evicted`,
      `Reassembly: ${reassembly.gaps} gaps (${reassembly.gap_bytes} bytes), ${reassembly.out_of_order} segments out of order, ${reassembly.retransmitted_bytes} bytes retransmitted`,
      ...(requests.seen > 0
        ? [
            `Requests: ${requests.seen} seen, ${requests.forwarded} forwarded, ${requests.damaged} damaged` +
              unsent.map(([reason, count]) => `, ${count} dropped (${reason})`).join(""),
            `Answers: ${requests.answered} (${["1xx", "2xx", "3xx", "4xx", "5xx"].map((group) => `${responses[group as "2xx"]} ${group}`).join(", ")}), ${responses.unanswered} requests unanswered` +
              (responses.cancelled > 0 ? `, ${responses.cancelled} cancelled` : ""),
          ]
        : []),
      ...(chosenAway.length > 0 ? [`Left out by policy: ${chosenAway.join(", ")}`] : []),
      `Endpoint: ${upstream.bytes} bytes on ${upstream.connects} connections, ${upstream.connect_errors} could not be made, ${upstream.broken} broke, ${upstream.given_up} were given up, ${upstream.lost_bytes} bytes lost`,
    ];
    if (this.log.format === "json") this.log.info(lines[0]!, totals);
    else for (const line of lines) this.log.info(line);
  }

  /** What a dry run would have done with the requests, by what decides. */
  dryRun(verdicts: readonly DryRunVerdict[]): void {
    for (const { by, count, examples } of verdicts) {
      const shown = `${examples.join(", ")}${count > examples.length ? ", …" : ""}`;
      this.log.info(`Dry run: ${count} ${plural(count, "request")}: ${by} (${shown})`, { by, count, examples });
    }
  }

  /**
   * Whether something whole was not forwarded in the end, which with --read nothing but the endpoint, or a limit, can
   * be to blame for: then it is said, as the run's last line.
   */
  unforwarded(mode: "http" | "tcp"): boolean {
    const { requests, upstream } = this.counters;
    const count = UNFORWARDED_DROPS.reduce((sum, reason) => sum + requests.dropped[reason], 0);
    if (mode === "http" && count > 0) {
      const reasons = UNFORWARDED_DROPS.filter((reason) => requests.dropped[reason] > 0);
      const counts = reasons.map((reason) => `${requests.dropped[reason]} ${reason}`).join(", ");
      this.log.error(`Not all was forwarded: ${count} whole ${plural(count, "request")} (${counts})`);
      return true;
    }
    // In mode http, connections of other protocols that pass through.
    if (upstream.connect_errors === 0 || (mode === "http" && upstream.connects > 0)) return false;
    const connections = plural(upstream.connect_errors, "connection");
    this.log.error(`Not all was forwarded: ${upstream.connect_errors} ${connections} could not be made`);
    return true;
  }

  private once(kind: string, message: string): void {
    if (this.told.has(kind)) return;
    this.told.add(kind);
    this.log.warn(message);
  }

  private get endpointName(): string {
    return addressName(this.options.address);
  }
}

function isByPolicy(reason: string): boolean {
  return (POLICY_DROPS as readonly string[]).includes(reason);
}

/** What was not to be forwarded, in words: it is neither damage nor loss. */
function leftOut({ requests, streams }: Counters): string[] {
  const connections = Object.values(streams.dropped).reduce((sum, count) => sum + count, 0);
  return [
    ...POLICY_DROPS.filter((reason) => requests.dropped[reason] > 0).map(
      (reason) => `${requests.dropped[reason]} ${plural(requests.dropped[reason], "request")} ${reason}`,
    ),
    ...(connections > 0 ? [`${connections} ${plural(connections, "connection")}`] : []),
  ];
}

/** The mirror sessions' VNIs, as messages name them. */
export function vniName(vnis: readonly number[] | "any"): string {
  return vnis === "any" ? "any VNI" : `VNI ${vnis.join(", ")}`;
}

function plural(count: number, noun: string): string {
  return count === 1 ? noun : `${noun}s`;
}

function perSecond(count: number, seconds: number): string {
  return Math.round(count / seconds).toLocaleString("en-US");
}

function total(counts: Map<number, number>): number {
  let sum = 0;
  for (const count of counts.values()) sum += count;
  return sum;
}

/** The most frequent ones. */
function listed(counts: Map<number, number>): string {
  const byCount = [...counts].sort(([, a], [, b]) => b - a);
  const shown = byCount.slice(0, STRANGERS_SHOWN_MAX).map(([key]) => key);
  return shown.join(", ") + (byCount.length > shown.length ? " …" : "");
}
