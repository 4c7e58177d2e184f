/**
 * The current problems, in words, with advice: the log tells their beginning and end, and --admin shows them. A look at
 * the counters and gauges once a second decides; shards have no part in it.
 */
import { addressName, type ForwardAddress } from "../address.ts";
import { Drop } from "../decode/drop-reason.ts";
import { type Encapsulation, tunnelPort } from "../decode/tunnel.ts";
import type { Strangers } from "../decode/strangers.ts";
import type { Counters } from "./counters.ts";
import { DestinationProblems } from "./destination-problems.ts";
import type { Gauges } from "./gauges.ts";
import { Window } from "./window.ts";
import { counted } from "./words.ts";

/** The names of the problems in log lines, /status and /healthz. */
export const PROBLEM_KINDS = [
  "interface_down",
  "endpoint_down",
  "wrong_vni",
  "wrong_port",
  "nothing_captured",
  "kernel_dropped",
  "truncated",
  "loss",
  "destination_down",
  "waiting_limit",
  "buffer_limit",
  "unanswered",
  "tls",
] as const;
/** One of {@link PROBLEM_KINDS}. */
export type ProblemKind = (typeof PROBLEM_KINDS)[number];

/** Problems with which the program cannot do its work: it is not healthy. */
export const UNHEALTHY: readonly ProblemKind[] = ["interface_down", "endpoint_down"];

/** A problem that is current. */
export interface Problem {
  readonly kind: ProblemKind;
  /** The address of the further destination with the problem; undefined: the problem is not a further destination's. */
  readonly destination?: string;
  /** A sentence or two: the problem, and what to do. */
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly since_ms: number;
}

/** The silence of the mirror that is a problem. */
export const SILENCE_MS = 60_000;
/** The share of the mirrored bytes that may be missing. */
export const LOSS_SHARE_MAX = 0.01;
/** Fewer gaps are an accident. */
const LOSS_GAPS_MIN = 10;
/** This many frames for others, and none for us, are no accident. */
export const STRANGERS_MIN = 10;
const STRANGERS_SHOWN_MAX = 3;
const MINUTE_MS = 60_000;

/** The configuration that the messages about problems use. */
export interface ProblemOptions {
  readonly address: ForwardAddress;
  /** Further destinations. */
  readonly also: readonly ForwardAddress[];
  /** The control, which is the last of them; undefined: there is none. */
  readonly control: ForwardAddress | undefined;
  readonly encapsulation?: Encapsulation;
  readonly vnis: readonly number[] | "any";
  readonly ports: readonly number[];
  readonly vxlanPort: number;
  /** Undefined: a savefile is read, which may pause, and waiting loses none of it. */
  readonly interfaceName: string | undefined;
  readonly maxWaitingRequests: number;
  readonly mode: "http" | "tcp";
}

/** The inputs of a look, in addition to the counters. */
export interface Surroundings {
  readonly gauges: Gauges;
  readonly isInterfaceUp: boolean;
  readonly strangers: Strangers;
}

/** The counters with a rise that matters within the window. */
const marksOf = ({ frames, refused, reassembly, foreign }: Counters) => ({
  captured: frames.captured,
  mirrored: frames.captured + refused.frames,
  kernelDropped: frames.kernel_dropped,
  truncated: frames.truncated + frames.dropped[Drop.TRUNCATED]!,
  gaps: reassembly.gaps,
  gapBytes: reassembly.gap_bytes,
  deliveredBytes: reassembly.delivered_bytes,
  tls: foreign.tls,
});

type Messages = Partial<Record<ProblemKind, string | undefined>>;

/** Finds the problems of a run. */
export class Problems {
  private readonly window = new Window<ReturnType<typeof marksOf>>();
  private readonly endpoint: DestinationProblems;
  private readonly further: readonly DestinationProblems[];
  private known: readonly Problem[] = [];
  /** When a frame of ours last came, or the first look was; exact to a look. */
  private capturedMs = -1;

  constructor(private readonly options: ProblemOptions) {
    const { address, also, interfaceName, maxWaitingRequests, mode } = options;
    const lost =
      mode === "tcp"
        ? "Bytes for it are lost and counted (upstream.lost_bytes"
        : "Requests for it are dropped and counted (requests.dropped.endpoint_down";
    const common = { maxWaitingRequests, isLive: interfaceName !== undefined };
    this.endpoint = new DestinationProblems({
      ...common,
      name: `the endpoint ${addressName(address)}`,
      downMeans: `${lost})`,
      bufferWords:
        "(--max-buffer-mib): connections that stand still will give way soon. The endpoint is slower than production, or many bytes are missing",
    });
    this.further = also.map((each) => {
      const name = `the ${each === options.control ? "control" : "destination"} ${addressName(each)}`;
      return new DestinationProblems({ ...common, name, ...furtherWords(name, lost, each === options.control) });
    });
  }

  /** The current problems, the most urgent first. */
  get current(): readonly Problem[] {
    return this.known;
  }

  /** When the last frame of ours came, or the run began; -1: no look yet. */
  get lastFrameMs(): number {
    return this.capturedMs;
  }

  /** Looks, at `nowMs`. Returns the problems that have begun or ended since the last look. */
  look(counters: Counters, around: Surroundings, nowMs: number): { begun: Problem[]; ended: Problem[] } {
    const marks = marksOf(counters);
    if (this.capturedMs < 0 || marks.captured > (this.window.last?.captured ?? 0)) this.capturedMs = nowMs;
    this.window.add(marks);

    const before = this.known;
    const keys = new Set(before.map(keyOf));
    const found = this.find(counters, around, nowMs);
    this.known = found
      .map((each) => before.find((old) => keyOf(old) === keyOf(each)) ?? each)
      .map((old, i) => ({ ...found[i]!, since_ms: old.since_ms }));
    const has = new Set(this.known.map(keyOf));
    return {
      begun: this.known.filter((each) => !keys.has(keyOf(each))),
      ended: before.filter((each) => !has.has(keyOf(each))),
    };
  }

  /** All current problems; each began now, or when its cause began. */
  private find(counters: Counters, around: Surroundings, nowMs: number): Problem[] {
    const { down, ...ofEndpoint } = this.endpoint.look(counters, around.gauges);
    const ours: Messages = { ...this.messages(counters, around, nowMs), ...ofEndpoint, endpoint_down: down };
    const parts: [Messages, { destination?: string }, downMs: number][] = [[ours, {}, this.endpoint.downSinceMs]];
    this.further.forEach((each, i) => {
      const [counted, gauges] = [counters.destinations[i]!, around.gauges.destinations[i]];
      if (gauges === undefined) return;
      const { down, ...others } = each.look(counted, gauges);
      parts.push([{ ...others, destination_down: down }, { destination: counted.address }, each.downSinceMs]);
    });
    return PROBLEM_KINDS.flatMap((kind) =>
      parts.flatMap(([messages, whose, downMs]) => {
        const message = messages[kind];
        if (message === undefined) return [];
        const isDown = kind === "endpoint_down" || kind === "destination_down";
        const sinceMs = isDown ? downMs : kind === "nothing_captured" ? this.capturedMs : nowMs;
        return [{ kind, ...whose, message, since_ms: sinceMs }];
      }),
    );
  }

  /** The problems that are not of destinations. */
  private messages(counters: Counters, around: Surroundings, nowMs: number): Messages {
    const { interfaceName } = this.options;
    return {
      interface_down: around.isInterfaceUp ? undefined : interfaceDown(interfaceName!),
      ...misdirected(counters, around.strangers, this.options),
      nothing_captured: around.isInterfaceUp ? this.silence(counters, around.strangers, nowMs) : undefined,
      kernel_dropped: this.kernelDrops(),
      truncated: this.truncation(),
      loss: this.loss(),
      tls: this.tls(),
    };
  }

  /** The likely causes of silence, in their order. */
  private silence({ refused }: Counters, { vnis, ports }: Strangers, nowMs: number): string | undefined {
    const { interfaceName, vnis: ourVnis, ports: ourPorts } = this.options;
    const udpPort = tunnelPort(this.options);
    const [ours, wanted] = [vniName(ourVnis), ourPorts.join(" or ")];
    const silentMs = nowMs - this.capturedMs;
    if (interfaceName === undefined || silentMs < SILENCE_MS) return undefined;
    const duration = counted(Math.floor(silentMs / MINUTE_MS), "minute");
    const others = [
      ...(vnis.size > 0 ? [`VNI ${listed(vnis)}`] : []),
      ...(ports.size > 0 ? [`port ${listed(ports)}`] : []),
    ];
    if (this.window.rise("mirrored") > 0) {
      const whose = others.length > 0 ? ` (${others.join("; ")})` : "";
      return `No mirror frames for ${ours} and port ${wanted} for ${duration}, but ${refused.frames} for others${whose}: is there traffic in production, and are VNI and port those of the mirror session?`;
    }
    return (
      `No mirror frames for ${duration}. Look at, in this order: the security group of this server (` +
      `${udpPort === undefined ? "the mirror's protocol" : `UDP ${udpPort}`} from the mirrored instances), the mirror filter (inbound TCP to port ${wanted}), the mirror session (its source, ` +
      `its target, and whether production has traffic), the interface (is ${interfaceName} the target's?), the VNI (${ours})`
    );
  }

  private kernelDrops(): string | undefined {
    const count = this.window.rise("kernelDropped");
    if (count === 0) return undefined;
    return `The kernel dropped ${count} frames in the last minute before they were read: raise --capture-buffer-mib, or give the program more CPU`;
  }

  private truncation(): string | undefined {
    const count = this.window.rise("truncated");
    if (count === 0) return undefined;
    return `The mirror cut off the ends of ${count} packets in the last minute, and their bytes are lost: set this host's MTU to the source's plus 54 bytes (IPv4) or 74 (IPv6), or remove the mirror session's packet length`;
  }

  private loss(): string | undefined {
    const [lost, came] = [this.window.rise("gapBytes"), this.window.rise("deliveredBytes")];
    const share = lost / Math.max(lost + came, 1);
    if (share <= LOSS_SHARE_MAX || this.window.rise("gaps") < LOSS_GAPS_MIN) return undefined;
    const where =
      this.window.rise("kernelDropped") > 0
        ? "the kernel dropped frames (frames.kernel_dropped), which explains a part of the loss"
        : this.window.rise("truncated") > 0
          ? "the mirror cuts off the ends of packets, which explains a part of the loss"
          : "this host's kernel dropped no frame, so they were lost before: CloudWatch's NetworkSkipMirrorIn of the mirrored instances counts the packets that AWS never mirrored";
    return `${percent(share)} of the bytes of the last minute never arrived: ${where}`;
  }

  private tls(): string | undefined {
    const count = this.window.rise("tls");
    if (count === 0) return undefined;
    return `${count} connections of the last minute used TLS, which the program cannot read: mirror behind the load balancer or proxy that ends TLS`;
  }
}

/**
 * The VNIs or ports that the mirror's frames were for, if no frame was for us, or none was HTTP, and at least `least`
 * were for others.
 */
export function misdirected(
  { frames, requests, foreign }: Counters,
  { vnis, ports }: Strangers,
  options: Pick<ProblemOptions, "vnis" | "ports" | "encapsulation">,
  least = STRANGERS_MIN,
): { wrong_port?: string; wrong_vni?: string } {
  // Plain frames are all of this host's traffic: other connections among them are no sign of a problem.
  if (options.encapsulation === "none") return {};
  const [otherVnis, otherPorts] = [total(vnis), total(ports)];
  const [ours, wanted] = [vniName(options.vnis), options.ports.join(" or ")];
  if (frames.segments === 0 && otherPorts >= least) {
    return {
      wrong_port: `${counted(otherPorts, "mirrored segment")} of ${ours} ${otherPorts === 1 ? "was" : "were"} for port ${listed(ports)}, none for ${wanted}: is original_destination_port the one that production listens on?`,
    };
  }
  if (frames.segments === 0 && otherVnis >= least && options.vnis !== "any") {
    return {
      wrong_vni: `${counted(otherVnis, "mirror frame")} carried VNI ${listed(vnis)}, none ${options.vnis.join(" or ")}: is it the mirror session's VNI?`,
    };
  }
  const others = foreign.tls + foreign.unknown;
  if (requests.seen > 0 || others === 0 || otherPorts < least) return {};
  return {
    wrong_port: `Port ${wanted} carries another service and no HTTP: ${others} connections used TLS or an unknown protocol. ${otherPorts} mirrored segments were for port ${listed(ports)}: is original_destination_port one of these?`,
  };
}

/** The mirror sessions' VNIs, as messages show them. */
export function vniName(vnis: readonly number[] | "any"): string {
  return vnis === "any" ? "any VNI" : `VNI ${vnis.join(", ")}`;
}

/** Words for an interface that is down. */
export function interfaceDown(name: string): string {
  return `${name} is down: the program captures nothing until it is up again (ip link set ${name} up)`;
}

/** The key of a problem among all others. */
export function keyOf({ kind, destination = "" }: Problem): string {
  return `${kind} ${destination}`;
}

function furtherWords(name: string, lost: string, isControl: boolean): { downMeans: string; bufferWords: string } {
  const told = `${lost} in destinations)`;
  return {
    downMeans: isControl ? `${told}; meanwhile no difference can be recognised as noise` : told,
    bufferWords: `for ${name} (its part of --max-buffer-mib): new requests for it will be dropped soon. It is slower than production`,
  };
}

function percent(share: number): string {
  return `${(share * 100).toPrecision(2)} %`;
}

function total(counts: Map<number, number>): number {
  let sum = 0;
  for (const count of counts.values()) sum += count;
  return sum;
}

/** The most frequent ones, as text. */
function listed(counts: Map<number, number>): string {
  const byCount = [...counts].sort(([, a], [, b]) => b - a);
  const shown = byCount.slice(0, STRANGERS_SHOWN_MAX).map(([key]) => key);
  return shown.join(", ") + (byCount.length > shown.length ? " …" : "");
}
