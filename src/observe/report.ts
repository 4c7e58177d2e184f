/** Reports about a run: a line while there is traffic, warnings that are written once, the totals. */
import { addressName, destinationsOf, type ForwardAddress } from "../address.ts";
import { Drop } from "../decode/drop-reason.ts";
import type { Encapsulation } from "../decode/tunnel.ts";
import type { Strangers } from "../decode/strangers.ts";
import type { HttpVersion, RequestDrop } from "../forward/counters.ts";
import type { Counters } from "./counters.ts";
import type { Log } from "./log.ts";
import { interfaceDown, keyOf, misdirected, type Problem, type ProblemKind, STRANGERS_MIN } from "./problems.ts";
import { leftOut, totalLines } from "./totals.ts";
import { counted, named } from "./words.ts";

type ForeignProtocol = Exclude<keyof Counters["foreign"], "discarded_bytes">;

const FOREIGN_ADVICE: Record<ForeignProtocol, string> = {
  tls: "Some connections use TLS, which the program cannot read: mirror behind the load balancer or proxy that ends TLS (foreign.tls)",
  http2:
    "Some HTTP/2 connections were joined in their middle, and bytes cannot pass from there on: leave out --http2 pass, or wait for new connections (foreign.http2)",
  unknown:
    "Some connections are not HTTP, or go on in a protocol that the endpoint declined: --mode tcp forwards any protocol (foreign.unknown)",
};
/** How often a line says how much has come. */
export const SUMMARY_LINE_MS = 10_000;
/** Drops that are further apart than this belong to another burst. */
export const DROP_BURST_MS = 10_000;
/** How long a problem is not reported again, even if it comes and goes. */
export const PROBLEM_AGAIN_MS = 600_000;
/**
 * The problems that are reported here when they begin; the others are reported as they happen. `over`: the message when
 * it has ended.
 */
const PROBLEMS_TOLD: Partial<Record<ProblemKind, { over(destination: string): string }>> = {
  nothing_captured: { over: () => "Mirror frames arrive again" },
  loss: { over: () => "At most 1 % of the bytes were missing in the last minute" },
  waiting_limit: { over: (destination) => `Fewer requests wait for ${destination} again` },
  buffer_limit: { over: (destination) => `Less memory is held for ${destination} again` },
  unanswered: { over: (destination) => `${destination} responds to requests again` },
};

/** Drop reasons other than policy's: with a source that can wait, no request needs to be lost for them. */
const UNFORWARDED_DROPS: readonly RequestDrop[] = [
  "endpoint_down",
  "endpoint_closed",
  "endpoint_protocol",
  "endpoint_settings",
  "buffer_limit",
  "waiting_limit",
];

/** The number of requests with the same decision, and some of them. */
interface DryRunVerdict {
  readonly by: string;
  readonly count: number;
  readonly examples: readonly string[];
}

/** The drop reasons of frames without a tunnel. */
const NO_MIRROR = [
  ...[Drop.UNSUPPORTED_LINK_TYPE, Drop.MALFORMED_OUTER, Drop.NOT_IP, Drop.NOT_UDP, Drop.OTHER_UDP_PORT],
  ...[Drop.NOT_VXLAN, Drop.OTHER_IP_PROTOCOL, Drop.NOT_GRE, Drop.NOT_GENEVE],
];

/** The configuration that the messages use. */
interface ReportOptions {
  readonly address: ForwardAddress;
  readonly also: readonly ForwardAddress[];
  readonly encapsulation?: Encapsulation;
  readonly vnis: readonly number[] | "any";
  readonly ports: readonly number[];
  readonly threads: number;
}

/** Tells the events of shards (ShardReport), and the counters. */
export class RunReport {
  private summaryDueMs: number;
  private framesBefore = 0;
  private bytesBefore = 0;
  private lastDropMs = -Infinity;
  private kernelDropsBefore = 0;
  private isInterfaceUp = true;
  /** The endpoint, and further destinations. */
  private readonly destinations: readonly ForwardAddress[];
  /** For each of them, upstream.connect_errors when the outage began; undefined: there is no outage. */
  private readonly outageErrorsBefore: (number | undefined)[] = [];
  /** The versions of HTTP that destinations do not speak, with the destination's number. */
  private readonly unspoken = new Set<string>();
  private readonly told = new Set<string>();
  /** The problems with a reported beginning, whose end is still to be reported. */
  private readonly untoldEnds = new Set<string>();
  /** When each problem was last reported. */
  private readonly problemsMs = new Map<string, number>();

  constructor(
    private readonly log: Log,
    private readonly counters: Counters,
    private readonly options: ReportOptions,
    private readonly now: () => number,
  ) {
    this.summaryDueMs = now() + SUMMARY_LINE_MS;
    this.destinations = destinationsOf(options);
  }

  outageBegan(reason: string, destination = 0): void {
    if (this.outageErrorsBefore[destination] !== undefined) return;
    this.outageErrorsBefore[destination] = this.upstreamOf(destination).connect_errors;
    this.log.warnOften(
      `outage began ${destination}`,
      `Cannot connect to ${this.nameOf(destination)}: ${reason}; the program tries again, and counts the losses (upstream.connect_errors)`,
      { event: "outage_began", destination: this.nameOf(destination), reason },
    );
  }

  /** The first thread that connects again ends the outage for all. */
  outageEnded(durationMs: number, lostConnections: number, destination = 0): void {
    const errorsBefore = this.outageErrorsBefore[destination];
    if (errorsBefore === undefined) return;
    const lost = Math.max(this.upstreamOf(destination).connect_errors - errorsBefore, lostConnections);
    this.outageErrorsBefore[destination] = undefined;
    this.log.infoOften(
      `outage ended ${destination}`,
      `${this.nameOf(destination)} takes connections again after ${(durationMs / 1000).toFixed(1)} s; ${lost} connections could not be made`,
      {
        event: "outage_ended",
        destination: this.nameOf(destination),
        duration_ms: Math.round(durationMs),
        connections: lost,
      },
    );
  }

  /** Told once for all threads, until one finds that the destination speaks the version. */
  speaksNot(version: HttpVersion, why: string, destination = 0): void {
    const name = this.nameOf(destination);
    if (this.unspoken.has(`${version} ${destination}`)) return;
    this.unspoken.add(`${version} ${destination}`);
    this.log.warnOften(
      `speaks not ${version} ${destination}`,
      `Cannot send requests of ${version} to ${name}: ${why}; the program tries now and then, and drops these requests meanwhile (requests.dropped)`,
      { event: "speaks_not", destination: name, version, reason: why },
    );
  }

  speaks(version: HttpVersion, durationMs: number, destination = 0): void {
    const name = this.nameOf(destination);
    if (!this.unspoken.delete(`${version} ${destination}`)) return;
    this.log.infoOften(
      `speaks ${version} ${destination}`,
      `${name} speaks ${version} now, after ${(durationMs / 1000).toFixed(1)} s`,
      { event: "speaks", destination: name, version, duration_ms: Math.round(durationMs) },
    );
  }

  givenUp(why: string, lostBytes: number, destination = 0): void {
    this.log.warnOften(
      `given up ${destination}`,
      `Gave up a connection to ${this.nameOf(destination)}: ${why}; ${lostBytes} bytes were lost`,
      { event: "given_up", destination: this.nameOf(destination), reason: why, lost_bytes: lostBytes },
    );
  }

  /**
   * A connection broke. `isSilent`: the endpoint has sent nothing on it. (With TLS 1.3 it refuses a client only behind
   * the handshake.)
   */
  broken(how: "closed" | "reset", lostBytes: number, isSilent: boolean, destination = 0): void {
    const isRefusal = isSilent && this.destinations[destination]!.isSecure === true;
    this.log.warnOften(
      `broken ${destination}`,
      `${this.nameOf(destination)} ${how} a connection that was in use; ${lostBytes} waiting bytes were lost` +
        (isRefusal
          ? "; it sent no byte on the connection: if it asks for a client certificate, give --tls-cert and --tls-key"
          : ""),
      { event: "broken", destination: this.nameOf(destination), reason: how, lost_bytes: lostBytes },
    );
  }

  recordFailed(reason: string): void {
    this.once(
      "record_failed",
      `Cannot record any more: ${reason}; forwarding goes on (record.dropped_frames counts the frames that are not written)`,
    );
  }

  fileFailed(path: string, reason: string): void {
    this.log.warnOften(
      `file failed ${path}`,
      `Cannot write requests to ${path}: ${reason}; the program tries again, and counts the losses (file.dropped_requests)`,
      { event: "file_failed", path, reason },
    );
  }

  foreign(protocol: ForeignProtocol): void {
    this.once(`foreign_${protocol}`, FOREIGN_ADVICE[protocol]);
  }

  /** The interface was set down, or up again. */
  interfaceIs(isUp: boolean, name: string): void {
    if (isUp === this.isInterfaceUp) return;
    this.isInterfaceUp = isUp;
    if (isUp)
      this.log.infoOften("interface up", `${name} is up again: the program captures again`, { event: "interface_up" });
    else this.log.warnOften("interface down", interfaceDown(name), { event: "interface_down" });
  }

  /**
   * At a savefile's end: the reason why no frame was for us. The savefile may have few frames, and no others will come.
   */
  ended(strangers: Strangers): void {
    const { encapsulation = "vxlan" } = this.options;
    this.strangers(strangers, 1);
    const { captured, segments, dropped } = this.counters.frames;
    const fromServer = dropped[Drop.FROM_SERVER]!;
    if (segments === 0 && fromServer > 0) {
      this.once(
        "only_server",
        `All ${fromServer} mirrored segments come from port ${this.options.ports.join(" or ")}, none goes to it: the ` +
          "mirror's filter must accept inbound traffic to this port",
      );
    }
    const others = NO_MIRROR.reduce<number>((sum, reason) => sum + dropped[reason]!, 0);
    if (captured === 0 || others < captured || encapsulation === "none") return;
    this.once(
      "no_mirror",
      `None of the ${captured} frames belongs to a ${encapsulation} mirror: is --encapsulation the mirror's (none: plain frames)` +
        `${encapsulation === "vxlan" ? ", and --vxlan-port its port" : ""}?`,
    );
  }

  /**
   * Reports once the VNIs or ports of mirror frames that were not for us, if no frame was, or none was HTTP. Fewer
   * frames than `least` prove nothing.
   */
  strangers(strangers: Strangers, least = STRANGERS_MIN): void {
    const { wrong_port: port, wrong_vni: vni } = misdirected(this.counters, strangers, this.options, least);
    if (port !== undefined) this.once("wrong_port", port);
    if (vni !== undefined) this.once("wrong_vni", vni);
  }

  /** Tells the problems that have begun or ended since the last look. */
  problems(begun: readonly Problem[], ended: readonly Problem[]): void {
    const nowMs = this.now();
    for (const problem of begun) {
      const { kind, message, destination } = problem;
      const key = keyOf(problem);
      const isNew = nowMs - (this.problemsMs.get(key) ?? -Infinity) >= PROBLEM_AGAIN_MS;
      if (PROBLEMS_TOLD[kind] === undefined || !isNew) continue;
      this.problemsMs.set(key, nowMs);
      this.untoldEnds.add(key);
      this.log.warn(message, { event: kind, ...(destination === undefined ? {} : { destination }) });
    }
    for (const problem of ended) {
      const { kind, since_ms, destination } = problem;
      if (!this.untoldEnds.delete(keyOf(problem))) continue;
      const durationMs = Math.max(nowMs - since_ms, 0);
      const over = PROBLEMS_TOLD[kind]!.over(destination ?? "the endpoint");
      this.log.info(`${over}, after ${(durationMs / 1000).toFixed(0)} s`, {
        event: `${kind}_ended`,
        ...(destination === undefined ? {} : { destination }),
        duration_ms: Math.round(durationMs),
      });
    }
  }

  /** Looks at the counters, and reports the left-out lines of those that repeat. Call it now and then. */
  tick(): void {
    this.log.tick();
    const { frames } = this.counters;
    if (frames.truncated > 0 || frames.dropped[Drop.TRUNCATED]! > 0) {
      this.once(
        "truncated",
        "The mirror cuts off the ends of packets, and their bytes are lost. Set this host's MTU to the source's plus 54 bytes (IPv4) or 74 (IPv6), or remove the mirror session's packet length",
      );
    }
    if (frames.dropped[Drop.UNSUPPORTED_LINK_TYPE]! > 0) {
      this.once(
        "link_type",
        "Some frames have a link type that the program cannot read: it counts them (frames.dropped.unsupported_link_type)",
      );
    }
    if (this.counters.fragments.completed > 0 && this.options.threads > 1) {
      this.once(
        "fragments",
        "Mirrored packets come in IP fragments: a flow's fragments may reach another thread than its other segments, and leave gaps. Run the program with --threads 1 (fragments.completed)",
      );
    }
    const nowMs = this.now();
    this.kernelDrops(nowMs);
    if (nowMs < this.summaryDueMs) return;
    this.summaryLine(nowMs);
  }

  /** Tells once a burst that the kernel dropped frames. */
  private kernelDrops(nowMs: number): void {
    const { kernel_dropped: drops } = this.counters.frames;
    const count = drops - this.kernelDropsBefore;
    if (count === 0) return;
    this.kernelDropsBefore = drops;
    if (nowMs - this.lastDropMs > DROP_BURST_MS) {
      this.log.warn(
        `The kernel dropped ${count} frames before they were read: raise --capture-buffer-mib, or give the program more CPU (frames.kernel_dropped counts further drops)`,
        { event: "kernel_dropped", frames: count },
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
      { event: "interval", ...this.counters.snapshot() },
    );
  }

  /** Tells the totals of the run. */
  totals(): void {
    this.log.finish();
    const totals = this.counters.snapshot();
    const lines = totalLines(totals);
    if (this.log.format === "json") this.log.info(lines[0]!, { event: "totals", ...totals });
    else for (const line of lines) this.log.info(line);
  }

  /** Reports the decisions of a dry run about the requests, by the flag or rule that decides. */
  dryRun(verdicts: readonly DryRunVerdict[]): void {
    for (const { by, count, examples } of verdicts) {
      const shown = `${examples.join(", ")}${count > examples.length ? ", …" : ""}`;
      this.log.info(`Dry run: ${counted(count, "request")}: ${by} (${shown})`, { by, count, examples });
    }
  }

  /**
   * Whether some whole request or connection was not forwarded in the end. With --read, only the endpoint or a limit
   * can be the cause. If so, writes it as the run's last line. `isFile`: the endpoint is a file.
   */
  unforwarded(mode: "http" | "tcp", isFile: boolean): boolean {
    const { requests, responses, upstream } = this.counters;
    if (isFile && responses["5xx"] > 0) {
      const count = responses["5xx"];
      this.log.error(`Not all was written: ${counted(count, "whole request")}`);
      return true;
    }
    const count = UNFORWARDED_DROPS.reduce((sum, reason) => sum + requests.dropped[reason], 0);
    if (mode === "http" && count > 0) {
      const counts = named(Object.fromEntries(UNFORWARDED_DROPS.map((reason) => [reason, requests.dropped[reason]])));
      this.log.error(`Not all was forwarded: ${counted(count, "whole request")} (${counts})`);
      return true;
    }
    // In mode http, connections of other protocols that pass through.
    if (upstream.connect_errors === 0 || (mode === "http" && upstream.connects > 0)) return false;
    this.log.error(`Not all was forwarded: ${counted(upstream.connect_errors, "connection")} could not be made`);
    return true;
  }

  private once(kind: string, message: string): void {
    if (this.told.has(kind)) return;
    this.told.add(kind);
    this.log.warn(message, { event: kind });
  }

  private upstreamOf(destination: number): Counters["upstream"] {
    return (destination === 0 ? this.counters : this.counters.destinations[destination - 1]!).upstream;
  }

  private nameOf(destination: number): string {
    return addressName(this.destinations[destination]!);
  }
}

function perSecond(count: number, seconds: number): string {
  return Math.round(count / seconds).toLocaleString("en-US");
}
