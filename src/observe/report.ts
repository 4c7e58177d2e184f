/** What is told of a run: a line while there is traffic, warnings that are due once, the totals. */
import { closeSync, openSync, writeSync } from "node:fs";
import { RefusalError } from "../errors.ts";
import type { EndpointReport } from "../forward/endpoint.ts";
import type { HttpReport } from "../forward/http-mode.ts";
import type { ForwardAddress } from "../forward/socket.ts";
import { Drop } from "../decode/drop-reason.ts";
import type { ForeignProtocol } from "../http/request-sink.ts";
import type { Counters, CountersSnapshot } from "./counters.ts";
import type { Log } from "./log.ts";

const FOREIGN_ADVICE: Record<ForeignProtocol, string> = {
  tls: "Some connections are TLS, which cannot be read here: mirror behind the load balancer or proxy that ends it (foreign.tls)",
  http2: "Some connections are HTTP/2 and were joined in their middle, where it cannot be read: it is forwarded from connections that begin while this program runs (foreign.http2)",
  unknown: "Some connections are not HTTP: forward them with --mode tcp (foreign.unknown)",
};
const SUMMARY_LINE_MS = 10_000;
/** Drops that are further apart than this are another burst. */
const DROP_BURST_MS = 10_000;

export class RunReport implements EndpointReport, HttpReport {
  private summaryDueMs: number;
  private framesBefore = 0;
  private bytesBefore = 0;
  private lastDropMs = -Infinity;
  private readonly told = new Set<string>();

  constructor(
    private readonly log: Log,
    private readonly counters: Counters,
    private readonly address: ForwardAddress,
    private readonly now: () => number,
  ) {
    this.summaryDueMs = now() + SUMMARY_LINE_MS;
  }

  outageBegan(error: Error): void {
    this.log.warn(`Cannot connect to ${this.endpointName}: ${reasonOf(error)}; trying on, and counting what is lost (upstream.connect_errors)`);
  }

  outageEnded(durationMs: number, lostConnections: number): void {
    this.log.info(`${this.endpointName} answers again after ${(durationMs / 1000).toFixed(1)} s; ${lostConnections} connections could not be made`);
  }

  givenUp(why: string, lostBytes: number): void {
    this.log.warnOften("given up", `Gave up a connection to ${this.endpointName}: ${why}; ${lostBytes} bytes were lost`, this.now());
  }

  broken(error: Error | undefined, lostBytes: number): void {
    const how = error === undefined ? "closed" : "reset";
    this.log.warnOften("broken", `${this.endpointName} ${how} a connection that was in use; ${lostBytes} waiting bytes were lost`, this.now());
  }

  foreign(protocol: ForeignProtocol): void {
    this.once(`foreign ${protocol}`, FOREIGN_ADVICE[protocol]);
  }

  /** Frames that the kernel dropped, told once a burst. */
  kernelDropped(count: number): void {
    if (count === 0) return;
    const nowMs = this.now();
    this.counters.frames.kernel_dropped += count;
    if (nowMs - this.lastDropMs > DROP_BURST_MS) {
      this.log.warn(
        `The kernel dropped ${count} frames before they were read: raise --capture-buffer-mib, or give the program more CPU (frames.kernel_dropped goes on counting)`,
      );
    }
    this.lastDropMs = nowMs;
  }

  /** Looks at the counters: call it every now and then. */
  tick(): void {
    const { frames } = this.counters;
    if (frames.truncated > 0 || frames.dropped[Drop.TRUNCATED]! > 0) {
      this.once("truncated", "The mirror cuts off the ends of packets: what is cut off is missing for good. Raise this host's MTU above the source's by 54 bytes (IPv4) or 74 (IPv6), or lift the mirror session's packet length");
    }
    if (frames.dropped[Drop.UNSUPPORTED_LINK_TYPE]! > 0) {
      this.once("link type", "Some frames have a link type that cannot be read here: they are counted (frames.dropped.unsupported_link_type)");
    }
    const nowMs = this.now();
    if (nowMs < this.summaryDueMs) return;
    this.summaryLine(nowMs);
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
        `${this.counters.reassembly.gaps} gaps, ${frames.kernel_dropped} frames dropped by the kernel so far`,
      this.counters.snapshot(),
    );
  }

  /** The totals of the run. */
  totals(): void {
    const totals = this.counters.snapshot();
    const { frames, flows, reassembly, requests, responses, upstream } = totals;
    const unsent = Object.entries(requests.dropped).filter(([, count]) => count > 0);
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
            `Answers: ${requests.answered} (${["1xx", "2xx", "3xx", "4xx", "5xx"].map((group) => `${responses[group as "2xx"]} ${group}`).join(", ")}), ${responses.unanswered} requests unanswered`,
          ]
        : []),
      `Endpoint: ${upstream.bytes} bytes on ${upstream.connects} connections, ${upstream.connect_errors} could not be made, ${upstream.broken} broke, ${upstream.given_up} were given up, ${upstream.lost_bytes} bytes lost`,
    ];
    if (this.log.format === "json") this.log.info(lines[0]!, totals);
    else for (const line of lines) this.log.info(line);
  }

  private once(kind: string, message: string): void {
    if (this.told.has(kind)) return;
    this.told.add(kind);
    this.log.warn(message);
  }

  private get endpointName(): string {
    const { host, port } = this.address;
    return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  }
}

/** --summary's file: opened at the start, so that a bad path is told then, and written at the end. */
export class SummaryFile {
  private readonly fd: number;

  constructor(private readonly path: string) {
    try {
      this.fd = openSync(path, "w");
    } catch (error) {
      throw new RefusalError(`Cannot write the summary to ${path}: ${(error as Error).message}`);
    }
  }

  /** Writes all counters as one JSON object. */
  write(counters: CountersSnapshot): void {
    try {
      writeSync(this.fd, `${JSON.stringify(counters)}\n`);
      closeSync(this.fd);
    } catch (error) {
      throw new RefusalError(`Cannot write the summary to ${this.path}: ${(error as Error).message}`);
    }
  }
}

function perSecond(count: number, seconds: number): string {
  return Math.round(count / seconds).toLocaleString("en-US");
}

/** An error in words; Bun's own message for a refused connection says less than its code. */
function reasonOf(error: Error): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case "ECONNREFUSED":
      return "connection refused";
    case "ENOTFOUND":
      return "no such host";
    case "EMFILE":
      return "too many open files (raise ulimit -n)";
    default:
      return error.message;
  }
}
